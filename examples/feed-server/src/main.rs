//! A news feed over HTTP, with a page to try it on.

mod simulate;

use clap::{Parser, Subcommand};
use feed_server::{Arguments, Server, page, router};

/// Serves a news feed: the API below /v1, and a page for people at /.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(flatten)]
    server: Arguments,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What else it can do.
#[derive(Subcommand)]
enum Task {
    /// Compares push, pull and hybrid under load, on a network with Twitter's heavy tail
    Simulate(simulate::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    if let Some(Task::Simulate(options)) = command.task {
        return simulate::run(&options);
    }
    // Standard output belongs to the line that says where the server listens.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would panic where nobody reads the log.
        .log_internal_errors(false)
        .init();
    let server = Server::open(&command.server, "feed-server").await?;
    let site = page::site().merge(router(server.api()));
    server.run(site).await
}
