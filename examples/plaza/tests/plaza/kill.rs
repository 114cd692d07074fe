//! What was acknowledged to a page is there after the program was killed.

use engines::{Chromium, Demo, Page, Redis};
use serde_json::json;

use crate::place::Place;

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

fn acknowledged_posts_survive_a_kill(place: &Place<'_>) {
    let browser = Chromium::start().unwrap();
    let server = place.start();
    let page = page_of(&server, &browser);
    page.evaluate(POST_ON).unwrap();
    page.wait_for("window.acknowledged.length >= 20").unwrap();
    server.end_by("KILL").unwrap();
    // What a browser calls a network that fails.
    assert_eq!(page.evaluate("window.end").unwrap(), "TypeError");
    let acknowledged = page.evaluate("window.acknowledged").unwrap();

    let server = place.start();
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

#[test]
fn acknowledged_posts_in_a_file_survive_a_kill() {
    let data = tempfile::tempdir().unwrap();
    acknowledged_posts_survive_a_kill(&Place::Directory(data.path()));
}

#[test]
fn acknowledged_posts_on_redis_survive_a_kill() {
    let redis = Redis::start().unwrap();
    acknowledged_posts_survive_a_kill(&Place::Redis(&[redis.url()]));
}
