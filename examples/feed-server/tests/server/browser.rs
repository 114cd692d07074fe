//! The page in a real browser.

use engines::{Chromium, Demo, Page};
use serde_json::{Value, json};

use crate::{line::Line, process};

/// Two people in two tabs, and the server they talk to.
struct Tabs {
    _server: Demo,
    _data: tempfile::TempDir,
    ann: Page,
    bob: Page,
}

impl Tabs {
    fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = process::start(data.path());
        let browser = Chromium::start().unwrap();
        let url = format!("http://{}/", server.address());
        let [ann, bob] = ["ann", "bob"].map(|name| {
            let page = browser.open(&url).unwrap();
            sign_in(&page, name);
            page
        });
        Self {
            _server: server,
            _data: data,
            ann,
            bob,
        }
    }
}

/// Types into the field that `selector` finds, as a person would.
fn fill(page: &Page, selector: &str, text: &str) {
    let (selector, text) = (json!(selector), json!(text));
    page.wait_for(&format!("document.querySelector({selector})"))
        .unwrap();
    page.evaluate(&format!(
        "{{ const field = document.querySelector({selector});
            field.focus(); field.select?.();
            document.execCommand('insertText', false, {text}) }}"
    ))
    .unwrap();
}

/// Presses the first control that `selector` finds whose text contains `text`.
fn press(page: &Page, selector: &str, text: &str) {
    let control = format!(
        "[...document.querySelectorAll({})].find((one) => !one.disabled && one.textContent.includes({}))",
        json!(selector),
        json!(text),
    );
    page.wait_for(&control.replace("find(", "some(")).unwrap();
    page.evaluate(&format!("{control}.click()")).unwrap();
}

fn sign_in(page: &Page, name: &str) {
    fill(page, "#name", name);
    press(page, ".greeting button", "Sign in");
    page.wait_for("document.querySelector('.state')?.dataset.state === 'live'")
        .unwrap();
}

fn post(page: &Page, text: &str) {
    fill(page, "#composer", text);
    press(page, ".composer button", "Post");
}

fn follow(page: &Page, name: &str) {
    fill(page, "#follow", name);
    press(page, "aside form button", "Follow");
    page.wait_for(&format!(
        "document.querySelector('.people li[data-name={name}]')"
    ))
    .unwrap();
}

/// The card whose text is `text`, as an expression.
fn card(text: &str) -> String {
    let text = json!(text);
    format!(
        "[...document.querySelectorAll('.card')].find((one) => one.querySelector('.text')?.textContent === {text})"
    )
}

fn wait_for_card(page: &Page, text: &str) {
    page.wait_for(&format!("!!{}", card(text))).unwrap();
}

fn wait_for_no_card(page: &Page, text: &str) {
    page.wait_for(&format!("!{}", card(text))).unwrap();
}

/// Presses the control of a card that `selector` finds.
fn press_on(page: &Page, text: &str, selector: &str) {
    let (card, selector) = (card(text), json!(selector));
    page.wait_for(&format!("!!{card}?.querySelector({selector})"))
        .unwrap();
    page.evaluate(&format!("{card}.querySelector({selector}).click()"))
        .unwrap();
}

/// Waits until a card shows this count for `action`: `like`, `reply` or `repost`.
fn wait_for_count(page: &Page, text: &str, action: &str, count: usize) {
    let card = card(text);
    let count = format!("{card}.querySelector('.{action} .count').textContent === '{count}'");
    page.wait_for(&count).unwrap();
}

fn assert_quiet(page: &Page) {
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn two_people_see_each_others_feed_change() {
    let Tabs {
        ref ann, ref bob, ..
    } = Tabs::open();
    follow(ann, "bob");
    follow(bob, "ann");

    post(ann, "hello from ann");
    wait_for_card(bob, "hello from ann");

    press_on(bob, "hello from ann", ".like");
    wait_for_count(bob, "hello from ann", "like", 1);
    wait_for_count(ann, "hello from ann", "like", 1);
    press_on(bob, "hello from ann", ".like");
    wait_for_count(ann, "hello from ann", "like", 0);

    press_on(bob, "hello from ann", ".reply");
    post(bob, "hello yourself");
    wait_for_card(ann, "hello yourself");
    wait_for_count(ann, "hello from ann", "reply", 1);
    let context = format!(
        "{}.querySelector('.context').textContent",
        card("hello yourself")
    );
    assert_eq!(ann.evaluate(&context).unwrap(), "↳ in reply to @ann");

    press(bob, ".orders button", "Top");
    bob.wait_for("document.querySelector('.text').textContent === 'hello from ann'")
        .unwrap();
    press(bob, ".orders button", "Latest");
    bob.wait_for("document.querySelector('.text').textContent === 'hello yourself'")
        .unwrap();

    press_on(bob, "hello from ann", ".repost");
    wait_for_count(ann, "hello from ann", "repost", 1);

    press_on(ann, "hello from ann", ".menu .entries button:nth-child(1)");
    fill(ann, ".edit textarea", "hello, edited");
    press(ann, ".edit button", "Save");
    wait_for_card(bob, "hello, edited");

    ann.evaluate("window.confirm = () => true").unwrap();
    press_on(ann, "hello, edited", ".menu .entries button:nth-child(2)");
    wait_for_no_card(ann, "hello, edited");
    wait_for_no_card(bob, "hello, edited");

    press_on(bob, "hello yourself", ".name");
    bob.wait_for("document.querySelector('.profile h2').textContent === '@bob'")
        .unwrap();
    press(bob, ".profile button", "Home");

    post(ann, "hush");
    wait_for_card(bob, "hush");
    press_on(bob, "hush", ".menu .entries button:nth-child(1)");
    wait_for_no_card(bob, "hush");
    assert_quiet(ann);
    assert_quiet(bob);
}

#[test]
fn what_people_write_is_text_and_stays_over_a_reload() {
    let Tabs {
        ref ann, ref bob, ..
    } = Tabs::open();
    follow(bob, "ann");
    let markup = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>&amp;";
    post(ann, markup);
    for page in [ann, bob] {
        wait_for_card(page, markup);
        page.reload().unwrap();
        page.wait_for("document.querySelector('.state')?.dataset.state === 'live'")
            .unwrap();
        wait_for_card(page, markup);
        assert_eq!(page.evaluate("window.hacked ?? null").unwrap(), Value::Null);
        assert_eq!(
            page.evaluate("document.querySelectorAll('.text *').length")
                .unwrap(),
            0
        );
        assert_quiet(page);
    }
}

#[test]
fn a_long_feed_grows_downwards_and_news_wait_at_the_top() {
    let Tabs {
        ref ann, ref bob, ..
    } = Tabs::open();
    follow(bob, "ann");
    for number in 1..=45 {
        let text = format!("post {number}");
        ann.evaluate(&format!(
            "document.querySelector('#composer').value = ''; {number}"
        ))
        .unwrap();
        post(ann, &text);
        wait_for_card(ann, &text);
    }
    bob.reload().unwrap();
    wait_for_card(bob, "post 45");
    bob.wait_for("(window.scrollTo(0, document.body.scrollHeight), document.querySelectorAll('.card').length === 45)")
        .unwrap();
    wait_for_card(bob, "post 1");
    bob.wait_for("document.querySelector('.end').textContent === 'You have seen everything.'")
        .unwrap();

    post(ann, "news");
    bob.wait_for("document.querySelector('.news').checkVisibility()")
        .unwrap();
    press(bob, ".news", "1 new post");
    wait_for_card(bob, "news");
    bob.wait_for("window.scrollY === 0").unwrap();
    bob.wait_for("!document.querySelector('.news').checkVisibility()")
        .unwrap();
    assert_quiet(bob);
}

#[test]
fn the_page_fits_a_phone_and_follows_the_colours_that_its_reader_prefers() {
    let Tabs { ref ann, .. } = Tabs::open();
    post(ann, &"unbreakable".repeat(20));
    let ground = |scheme: &str| {
        ann.prefer(scheme).unwrap();
        ann.evaluate("getComputedStyle(document.querySelector('.feed')).backgroundColor")
            .unwrap()
    };
    assert_ne!(ground("light"), ground("dark"));
    ann.resize(320, 640).unwrap();
    ann.wait_for("document.documentElement.scrollWidth <= 320")
        .unwrap();
    // Every control has a name for those who do not see it.
    let nameless = "[...document.querySelectorAll('button, input, textarea, summary')].filter((one) => \
        !(one.ariaLabel ?? one.labels?.[0]?.textContent ?? one.textContent).trim()).length";
    assert_eq!(ann.evaluate(nameless).unwrap(), 0);
    assert_quiet(ann);
}

/// How many cards there are with this text, as an expression.
fn count(text: &str) -> String {
    let cards = card(text).replace(".find(", ".filter(");
    format!("{cards}.length")
}

#[test]
fn a_draft_is_one_post_though_the_server_dies_before_it_answers() {
    let data = tempfile::tempdir().unwrap();
    let line = Line::to(process::start(data.path()));
    let browser = Chromium::start().unwrap();
    let ann = &browser
        .open(&format!("http://{}/", line.address()))
        .unwrap();
    sign_in(ann, "ann");
    line.doom();
    post(ann, "only once");
    ann.wait_for("!document.querySelector('.notice').hidden")
        .unwrap();

    line.lead_to(process::start(data.path()));
    press(ann, ".composer button", "Post");
    ann.wait_for("document.querySelector('#composer').value === ''")
        .unwrap();
    ann.reload().unwrap();
    wait_for_card(ann, "only once");
    assert_eq!(ann.evaluate(&count("only once")).unwrap(), 1);

    // Who writes the same again means it.
    post(ann, "only once");
    ann.wait_for(&format!("{} === 2", count("only once")))
        .unwrap();
}
