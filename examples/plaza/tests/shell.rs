//! The page around the tabs, in a real browser.

use std::process::{Command, Stdio};

use engines::{Chromium, Demo};

#[test]
fn each_part_is_a_tab_that_works() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plaza"));
    command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .stderr(Stdio::null());
    let server = Demo::start(&mut command).unwrap();
    for path in ["/", "/healthz", "/metrics"] {
        assert_eq!(server.status_of(path).unwrap(), 200);
    }

    let browser = Chromium::start().unwrap();
    let page = browser
        .open(&format!("http://{}/", server.address()))
        .unwrap();
    page.wait_for("document.querySelector('#tab-feed').ariaSelected === 'true'")
        .unwrap();
    page.wait_for("document.querySelector('#panel-feed .greeting')")
        .unwrap();
    page.evaluate("document.querySelector('#name').value = 'ann'")
        .unwrap();
    page.evaluate("document.querySelector('.greeting button').click()")
        .unwrap();
    page.wait_for("document.querySelector('.state').dataset.state === 'live'")
        .unwrap();
    assert_eq!(page.complaints(), [""; 0]);
    assert!(server.end_by("TERM").unwrap().success());
}
