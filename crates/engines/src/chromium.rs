//! Pages in a real browser, driven over its `DevTools` protocol.
//!
//! The protocol runs over two pipes, so there is no port to find and no web socket to speak, and the
//! browser ends with the process that started it.

mod wire;

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};

use self::wire::Wire;
use crate::{Error, Result, catalogue::CHROMIUM, error::Cause, server};

/// A browser without a screen, for as long as this value or one of its pages lives.
///
/// ```
/// let browser = engines::Chromium::start()?;
/// let page = browser.open("data:text/html,<h1>hello</h1>")?;
/// assert_eq!(page.evaluate("document.querySelector('h1').textContent")?, "hello");
/// # Ok::<(), engines::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chromium {
    browser: Arc<Browser>,
}

/// A page of its own: it shares no cookies, storage or cache with other pages.
#[derive(Debug)]
pub struct Page {
    browser: Arc<Browser>,
    session: String,
}

#[derive(Debug)]
struct Browser {
    supervisor: Child,
    wire: Wire,
    directory: PathBuf,
}

const SUPERVISE: &str = include_str!("chromium.sh");

/// Pages that are not in front keep their timers, and nothing is asked of the network but what a
/// page asks for. The sandbox needs rights that root in a container does not have, and protects from
/// pages that a test does not open.
const FLAGS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    "--disable-renderer-backgrounding",
];

impl Chromium {
    /// Starts a browser and waits until it answers.
    ///
    /// # Errors
    ///
    /// If it is not installed, ends at once or does not answer within about half a minute.
    pub fn start() -> Result<Self> {
        let program = CHROMIUM.locate()?;
        let directory = server::fresh_directory().map_err(|e| failed("make its directory", e))?;
        let mut command = supervised(&program, &directory);
        command.args(FLAGS).arg(format!(
            "--user-data-dir={}",
            directory.join("profile").display()
        ));
        let browser = Browser::spawn(command, directory)?;
        browser.call("Browser.getVersion", &json!({}), None)?;
        let browser = Arc::new(browser);
        Ok(Self { browser })
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// If the browser fails, or the page does not load in time.
    pub fn open(&self, url: &str) -> Result<Page> {
        let browser = Arc::clone(&self.browser);
        let context = browser.call("Target.createBrowserContext", &json!({}), None)?;
        let target = json!({ "url": url, "browserContextId": context["browserContextId"] });
        let target = browser.call("Target.createTarget", &target, None)?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach, None)?;
        let session = attached["sessionId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let page = Page { browser, session };
        page.call("Runtime.enable", &json!({}))?;
        page.call("Log.enable", &json!({}))?;
        page.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")?;
        Ok(page)
    }
}

impl Page {
    /// The value of an expression, waited for if it is a promise.
    ///
    /// # Errors
    ///
    /// If the browser fails or the expression throws.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let parameters = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", &parameters)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            let text = &thrown["exception"]["description"];
            let text = text.as_str().unwrap_or("the expression failed");
            return Err(refused(format!("{text}\nin: {expression}")));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true of the page, and returns its value. It may throw meanwhile.
    ///
    /// # Errors
    ///
    /// If the browser fails, or it is not true within about 20 seconds.
    pub fn wait_for(&self, expression: &str) -> Result<Value> {
        let quoted = json!(expression);
        let patient = format!(
            "new Promise((resolve, reject) => {{
                const end = Date.now() + 20000;
                (function look() {{
                    let value;
                    try {{ value = ({expression}); }} catch {{}}
                    if (value) resolve(value);
                    else if (Date.now() < end) setTimeout(look, 10);
                    else reject(new Error('waited in vain for ' + {quoted} + ', while the page reads: '
                        + document.body?.innerText));
                }})();
            }})"
        );
        loop {
            match self.evaluate(&patient) {
                // The page that was asked has gone; the one that comes is asked again.
                Err(error) if error.is_navigation() => {}
                outcome => return outcome,
            }
        }
    }

    /// Loads the page again and waits until it is there.
    ///
    /// # Errors
    ///
    /// If the browser fails, or the page does not load in time.
    pub fn reload(&self) -> Result<()> {
        self.evaluate("window.isLeaving = true")?;
        self.call("Page.reload", &json!({}))?;
        self.wait_for("!window.isLeaving && document.readyState === 'complete'")?;
        Ok(())
    }

    /// Gives the page a size in CSS pixels.
    ///
    /// # Errors
    ///
    /// If the browser fails.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        Ok(())
    }

    /// Makes the page believe that its user prefers this `scheme`: `dark` or `light`.
    ///
    /// # Errors
    ///
    /// If the browser fails.
    pub fn prefer(&self, scheme: &str) -> Result<()> {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        )?;
        Ok(())
    }

    /// What the page has complained of so far: exceptions that nobody caught, and errors in its log,
    /// such as a breach of its security policy.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.browser.wire.complaints(&self.session)
    }

    fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        self.browser.call(method, parameters, Some(&self.session))
    }
}

impl Browser {
    fn spawn(mut command: Command, directory: PathBuf) -> Result<Self> {
        let spawned = command.spawn().and_then(|mut supervisor| {
            let wire = Wire::new(supervisor.stdin.take(), supervisor.stdout.take())?;
            Ok((supervisor, wire))
        });
        let (supervisor, wire) = spawned.map_err(|e| failed("start a shell to watch it", e))?;
        Ok(Self {
            supervisor,
            wire,
            directory,
        })
    }

    fn call(&self, method: &str, parameters: &Value, session: Option<&str>) -> Result<Value> {
        self.wire
            .call(method, parameters, session)
            .map_err(|failure| match failure {
                wire::Failure::Refused(text) => refused(format!("{method}: {text}")),
                wire::Failure::Lost => Error::new(&CHROMIUM, Cause::Silent { log: self.log() }),
            })
    }

    fn log(&self) -> String {
        let text = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // By this the browser ends, or the shell ends it; see `chromium.sh`.
        self.wire.close();
        // No test could mend a failure of this, and a panic in a panic would abort.
        let _ = self.supervisor.wait();
    }
}

/// The command that runs `program`, whose arguments are to be added, with all that it writes in
/// `directory`.
fn supervised(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SUPERVISE, "chromium.sh"])
        .args([directory, program])
        // Ctrl-C ends the test process, and by that the browser: not both at once.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if env::var_os("HOME").is_none() {
        command.env("HOME", directory);
    }
    command
}

fn failed(doing: &'static str, error: io::Error) -> Error {
    Error::new(&CHROMIUM, Cause::Io(doing, error))
}

fn refused(text: String) -> Error {
    Error::new(&CHROMIUM, Cause::Refused(text))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process, thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn pages_share_nothing_and_complain_aloud() {
        let browser = Chromium::start().unwrap();
        let pages = [(); 2].map(|()| browser.open("data:text/html,<p>text").unwrap());
        pages[0].evaluate("window.mine = 1").unwrap();
        assert_eq!(
            pages[1].evaluate("window.mine ?? null").unwrap(),
            Value::Null
        );

        pages[0]
            .evaluate("setTimeout(() => { throw new Error('loud'); })")
            .unwrap();
        pages[0]
            .evaluate("new Promise((done) => setTimeout(done, 20))")
            .unwrap();
        assert!(
            pages[0]
                .complaints()
                .iter()
                .any(|text| text.contains("loud"))
        );
        assert!(pages[1].complaints().is_empty());
    }

    #[test]
    fn what_an_expression_throws_is_an_error_with_its_text() {
        let browser = Chromium::start().unwrap();
        let page = browser.open("data:text/html,").unwrap();
        let error = page
            .evaluate("Promise.reject(new Error('no such luck'))")
            .unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
    }

    #[test]
    fn a_browser_leaves_nothing_behind() {
        let browser = Chromium::start().unwrap();
        let directory = browser.browser.directory.clone();
        assert!(directory.exists());
        drop(browser);
        assert!(!directory.exists());
    }

    /// A browser that answers nothing and does not mind the end of its requests, and its process.
    fn stubborn() -> (Browser, String) {
        let directory = server::fresh_directory().unwrap();
        let id = directory.join("id");
        let mut command = supervised(Path::new("/bin/sh"), &directory);
        let script = "echo $$ >\"$0.new\"; mv \"$0.new\" \"$0\"; exec tail -f /dev/null";
        command.args(["-c", script]).arg(&id);
        let browser = Browser::spawn(command, directory).unwrap();
        assert!(is_soon(|| id.exists()));
        let id = fs::read_to_string(id).unwrap();
        (browser, id.trim().to_owned())
    }

    /// Whether something comes to pass in a number of looks.
    fn is_soon(look: impl Fn() -> bool) -> bool {
        (0..3_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            look()
        })
    }

    fn signal(name: &str, id: &str) -> bool {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", name, id]).stderr(Stdio::null()).status();
        sent.unwrap().success()
    }

    #[test]
    fn a_browser_that_does_not_end_by_itself_is_ended() {
        let (browser, id) = stubborn();
        let directory = browser.directory.clone();
        let dropped = thread::spawn(move || drop(browser));
        let is_gone = is_soon(|| dropped.is_finished());
        // It must not stay behind where this fails.
        let was_there = signal("KILL", &id);
        assert!(is_gone && !was_there);
        assert!(!directory.exists());
    }

    /// This test is its own child: with [`CHILD`] set it starts a browser and is killed.
    #[test]
    fn a_killed_test_process_takes_its_browser_along() {
        const CHILD: &str = "ENGINES_TEST_BROWSER";
        if env::var_os(CHILD).is_some() {
            let (browser, id) = stubborn();
            eprintln!("{id} {}", browser.directory.display());
            signal("KILL", &process::id().to_string());
        }
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("chromium::tests::a_killed_test_process_takes_its_browser_along")
            .env(CHILD, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        // Not to the end, which is that of the last process that has it.
        let mut told = String::new();
        let errors = child.stderr.take().unwrap();
        BufReader::new(errors).read_line(&mut told).unwrap();
        let (id, directory) = told.trim().split_once(' ').unwrap();
        let is_gone = is_soon(|| !Path::new(directory).exists());
        let was_there = signal("KILL", id);
        assert!(is_gone && !was_there);
    }
}
