//! The page around the tabs, in a real browser.

use engines::{Chromium, Demo, Page, RedisCluster};

use crate::place::Place;

/// Opens the page, and signs in.
fn sign_in(browser: &Chromium, server: &Demo, name: &str) -> Page {
    let page = browser.open(&format!("http://{}/", server.address()));
    let page = page.unwrap();
    page.wait_for("document.querySelector('#tab-feed').ariaSelected === 'true'")
        .unwrap();
    page.wait_for("document.querySelector('#panel-feed .greeting')")
        .unwrap();
    write(&page, "#name", name);
    press(&page, ".greeting button");
    page.wait_for("document.querySelector('.state').dataset.state === 'live'")
        .unwrap();
    page
}

#[test]
fn each_part_is_a_tab_that_works() {
    let data = tempfile::tempdir().unwrap();
    let server = Place::Directory(data.path()).start();
    for path in ["/", "/healthz", "/metrics"] {
        assert_eq!(server.status_of(path).unwrap(), 200);
    }
    let browser = Chromium::start().unwrap();
    let page = sign_in(&browser, &server, "ann");
    assert_eq!(page.complaints(), [""; 0]);
    assert!(server.end_by("TERM").unwrap().success());
}

/// Two programs on one Cluster are one service: what is posted at one is on the screens of the other.
#[test]
fn what_is_posted_at_one_shows_at_another() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    let urls = cluster.urls();
    let [oslo, lima] = [(); 2].map(|()| Place::Redis(&urls).start());
    let browser = Chromium::start().unwrap();
    let ann = sign_in(&browser, &oslo, "ann");
    let bob = sign_in(&browser, &lima, "bob");
    write(&bob, "#follow", "ann");
    press(&bob, "aside form button");
    bob.wait_for("document.querySelector('.people li[data-name=ann]')")
        .unwrap();
    write(&ann, "#composer", "hello from Oslo");
    press(&ann, ".composer button.primary");
    bob.wait_for("document.querySelector('.card .text')?.textContent === 'hello from Oslo'")
        .unwrap();
    for server in [oslo, lima] {
        assert!(server.end_by("TERM").unwrap().success());
    }
}

/// Types into a field, as a person would.
fn write(page: &Page, field: &str, text: &str) {
    page.wait_for(&format!("document.querySelector('{field}')"))
        .unwrap();
    page.evaluate(&format!(
        "document.querySelector('{field}').focus(); document.execCommand('insertText', false, '{text}')"
    ))
    .unwrap();
}

fn press(page: &Page, button: &str) {
    page.wait_for(&format!("document.querySelector('{button}:enabled')"))
        .unwrap();
    page.evaluate(&format!("document.querySelector('{button}').click()"))
        .unwrap();
}
