//! Requests and answers of the `DevTools` protocol, one at a time, over a pair of pipes.
//!
//! Messages are JSON, each followed by a zero byte.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug)]
pub(super) struct Wire(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    requests: Option<ChildStdin>,
    messages: mpsc::Receiver<Value>,
    last: u64,
    /// Session and text.
    complaints: Vec<(String, String)>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The browser says no, for this reason.
    Refused(String),
    /// The browser has ended, or hangs.
    Lost,
}

impl Wire {
    pub(super) fn new(
        requests: Option<ChildStdin>,
        answers: Option<ChildStdout>,
    ) -> io::Result<Self> {
        let (send, messages) = mpsc::channel();
        let answers = answers.ok_or_else(|| io::Error::other("no pipe"))?;
        thread::Builder::new()
            .name("chromium-answers".to_owned())
            .spawn(move || {
                BufReader::new(answers)
                    .split(0)
                    .map_while(Result::ok)
                    .filter_map(|message| serde_json::from_slice(&message).ok())
                    .all(|message| send.send(message).is_ok())
            })?;
        Ok(Self(Mutex::new(Ends {
            requests,
            messages,
            last: 0,
            complaints: Vec::new(),
        })))
    }

    pub(super) fn call(
        &self,
        method: &str,
        parameters: &Value,
        session: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut ends = self.ends();
        ends.last += 1;
        let id = ends.last;
        let mut request = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        ends.send(&request).ok_or(Failure::Lost)?;
        ends.answer(id)
    }

    /// What the pages of a session have complained of, as far as it has arrived.
    pub(super) fn complaints(&self, session: &str) -> Vec<String> {
        let mut ends = self.ends();
        while let Ok(message) = ends.messages.try_recv() {
            ends.note(&message);
        }
        let of_session = ends.complaints.iter().filter(|(of, _)| of == session);
        of_session.map(|(_, text)| text.clone()).collect()
    }

    /// Ends the browser, which reads to the end of its requests.
    pub(super) fn close(&self) {
        self.ends().requests.take();
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    fn send(&mut self, request: &Value) -> Option<()> {
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.requests.as_mut()?.write_all(&bytes).ok()
    }

    fn answer(&mut self, id: u64) -> Result<Value, Failure> {
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let mut message = message.map_err(|_| Failure::Lost)?;
            if message["id"] != id {
                self.note(&message);
                continue;
            }
            if let Some(error) = message.get("error") {
                let text = error["message"].as_str().unwrap_or("failed");
                return Err(Failure::Refused(text.to_owned()));
            }
            return Ok(message["result"].take());
        }
    }

    /// Keeps an event that is a complaint.
    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        let text = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                parameters["exceptionDetails"]["exception"]["description"].as_str()
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                parameters["entry"]["text"].as_str()
            }
            _ => None,
        };
        if let (Some(text), Some(session)) = (text, message["sessionId"].as_str()) {
            self.complaints.push((session.to_owned(), text.to_owned()));
        }
    }
}
