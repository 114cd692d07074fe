//! What was acknowledged to a page is there after the program was killed.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use engines::{Chromium, Demo, Page};
use serde_json::json;

fn start(data: &Path) -> Demo {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plaza"));
    command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stderr(Stdio::null());
    Demo::start(&mut command).unwrap()
}

/// The page of a server, on which `ask(method, path, body)` is a request by ann, who is signed in.
fn page_of(server: &Demo, browser: &Chromium) -> Page {
    let page = browser.open(&format!("http://{}/", server.address()));
    let page = page.unwrap();
    let sign_in = "(async () => {
        const headers = { 'content-type': 'application/json' };
        window.ask = async (method, path, body) => {
            const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
            return { status: answer.status, ...await answer.json() };
        };
        const { token } = await window.ask('POST', '/v1/session', { name: 'ann' });
        headers.authorization = `Bearer ${token}`;
    })()";
    page.evaluate(sign_in).unwrap();
    page
}

/// Posts one by one until the server is gone, and keeps id and text of what was acknowledged.
const POST_ON: &str = "window.acknowledged = [];
    window.end = (async () => {
        for (;;) {
            const text = `post ${window.acknowledged.length}`;
            const { status, id } = await window.ask('POST', '/v1/me/feed', { body: text });
            if (status !== 201) throw new Error(`refused with ${status}`);
            window.acknowledged.push({ id, text });
        }
    })().catch((error) => error.name);
    0";

#[test]
fn an_acknowledged_post_survives_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let browser = Chromium::start().unwrap();
    let server = start(data.path());
    let page = page_of(&server, &browser);
    page.evaluate(POST_ON).unwrap();
    page.wait_for("window.acknowledged.length >= 20").unwrap();
    server.end_by("KILL").unwrap();
    // What a browser calls a network that fails.
    assert_eq!(page.evaluate("window.end").unwrap(), "TypeError");
    let acknowledged = page.evaluate("window.acknowledged").unwrap();

    let server = start(data.path());
    let page = page_of(&server, &browser);
    let lost = format!(
        "(async () => {{
            const kept = ({{ id }}) => window.ask('GET', `/v1/posts/${{id}}`);
            const all = {acknowledged};
            const posts = await Promise.all(all.map(kept));
            return all.filter(({{ text }}, at) => posts[at].body !== text);
        }})()"
    );
    assert_eq!(page.evaluate(&lost).unwrap(), json!([]));
}
