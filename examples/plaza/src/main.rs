//! Everything this workspace has, behind one page.

mod tab;

use axum::Router;
use clap::Parser;
use feed_server::{Arguments, Server, page};

/// Serves everything there is: today a news feed, its API below /v1 and its page in a tab at /.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    server: Arguments,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    // Standard output belongs to the line that says where the server listens.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would panic where nobody reads the log.
        .log_internal_errors(false)
        .init();
    let server = Server::open(&command.server, "plaza").await?;
    let site = shell()
        .nest("/feed", page::panel())
        .merge(feed_server::router(server.api()));
    server.run(site).await
}

/// The page around the tabs.
fn shell() -> Router {
    Router::new()
        .route("/", page::html(include_str!("page/index.html")))
        .route("/shell.js", page::script(include_str!("page/shell.js")))
        .route("/shell.css", page::style(include_str!("page/shell.css")))
        .route("/tabs.json", tab::route())
}
