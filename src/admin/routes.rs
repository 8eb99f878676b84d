//! What can be asked for, and how it is answered.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::door::Door;
use super::problem::Problem;
use super::shown::{Agent, Daemon, Health, Readiness, Reload};
use crate::agent;
use crate::desk::{AgentView, Asker, Question, View};
use crate::metrics::Format;

/// The shipped description of all this.
const OPENAPI: &str = include_str!("../../docs/openapi.json");

/// What `GET /` says.
const INDEX: &str = "\
amqp-agentd's admin interface

GET  /livez                  ok, if the daemon's loop answers
GET  /readyz                 whether every agent consumes; else which not, why, since when
GET  /metrics                for Prometheus
GET  /agents                 the daemon and its agents, with all they count
GET  /agents/{name}          one agent
POST /agents/{name}/pause    finish what is in flight, hand out nothing more
POST /agents/{name}/resume   go on
POST /reload                 read the files again
GET  /__health               the same in KrakenD's form
GET  /openapi.json           all of this for programs
";

/// How long the daemon's loop has for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long it has for a reload, which may read thousands of files.
const RELOAD_MAX: Duration = Duration::from_mins(1);

/// How often it is looked whether an agent has heard of its pause, and for how long: one that works
/// hears of it at once, or after what the broker has to answer first; one that has no session is
/// shown as it is.
const HEARD_EVERY: Duration = Duration::from_millis(20);
const HEARD_MAX: Duration = Duration::from_secs(3);
const HEARD_MAX_WITHOUT_SESSION: Duration = Duration::from_millis(500);

/// The routes, as those see them who come by `door`.
pub(super) fn router(asker: Asker, door: Door) -> Router {
    let control = Router::new()
        .route("/agents/{name}/pause", post(pause))
        .route("/agents/{name}/resume", post(resume))
        .route("/reload", post(reload))
        .route_layer(middleware::from_fn(move |request, next| control(door, request, next)));
    Router::new()
        .route("/", get(async || text(INDEX)))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/agents", get(agents))
        .route("/agents/{name}", get(agent))
        .route("/__health", get(health))
        .route("/openapi.json", get(async || json_text(OPENAPI)))
        .merge(control)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request, next| admit(door, request, next)))
        .with_state(Desk(asker))
}

/// Turns away who may not even look, and keeps answers from being kept or taken for a page.
async fn admit(door: Door, request: Request, next: Next) -> Response {
    let mut response = match door.refuses(request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Turns away who may only look. Another method than POST changes nothing, and is told so.
async fn control(door: Door, request: Request, next: Next) -> Response {
    match door.refuses_control(request.headers()) {
        Some(problem) if request.method() == Method::POST => problem.into_response(),
        Some(_) | None => next.run(request).await,
    }
}

async fn livez(State(desk): State<Desk>) -> Result<Response, Problem> {
    desk.view().await?;
    Ok(text("ok\n"))
}

async fn readyz(State(desk): State<Desk>) -> Result<Response, Problem> {
    let readiness = Readiness::new(&desk.view().await?);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(readiness)).into_response())
}

/// 200 whatever the status says: a probe written for KrakenD restarts what answers otherwise, and
/// a restart mends neither broker nor backend.
async fn health(State(desk): State<Desk>) -> Result<Json<Health>, Problem> {
    Ok(Json(Health::new(&desk.view().await?)))
}

async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Problem> {
    let accept: Vec<_> =
        headers.get_all(ACCEPT).iter().filter_map(|one| one.to_str().ok()).collect();
    let format = Format::accepted(Some(&accept.join(",")));
    let written = crate::metrics::render(desk.view().await?, format);
    Ok(([(CONTENT_TYPE, format.content_type())], written).into_response())
}

async fn agents(State(desk): State<Desk>) -> Result<Json<Daemon>, Problem> {
    Ok(Json(Daemon::new(&desk.view().await?)))
}

async fn agent(State(desk): State<Desk>, Path(name): Path<String>) -> Result<Json<Agent>, Problem> {
    let view = desk.view().await?;
    found(&view, &name).map(|agent| Json(Agent::new(agent)))
}

async fn pause(State(desk): State<Desk>, Path(name): Path<String>) -> Result<Json<Agent>, Problem> {
    desk.pause(name, true).await
}

async fn resume(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<Agent>, Problem> {
    desk.pause(name, false).await
}

async fn reload(State(desk): State<Desk>) -> Result<Json<Reload>, Problem> {
    let reloaded = desk.ask(Question::Reload, RELOAD_MAX).await?;
    let reload = Reload::new(&reloaded);
    if reload.ok {
        return Ok(Json(reload));
    }
    let detail = match &reload.refused {
        Some(why) => format!("reload refused: {why}; everything runs on as it is"),
        None => format!(
            "{} broken: what it is for runs on as it was; all other changes are made",
            if reload.broken_files == 1 { "a file is" } else { "some files are" }
        ),
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    Err(Problem { reload: Some(Box::new(reload)), ..problem })
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing is here; GET / lists what there is")
}

async fn wrong_method() -> Problem {
    let detail = "this takes other methods, which the Allow header names; GET / lists them all";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// The agent of that name in `view`.
fn found<'v>(view: &'v View, name: &str) -> Result<&'v AgentView, Problem> {
    view.agents.iter().find(|agent| &*agent.definition.name == name).ok_or_else(|| {
        let agents = view.agents.iter().map(|agent| agent.definition.name.to_string());
        let problem = Problem::new(StatusCode::NOT_FOUND, "there is no agent of this name");
        Problem { agents: Some(agents.collect()), ..problem }
    })
}

fn text(text: &'static str) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn json_text(text: &'static str) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Asks the daemon's loop.
#[derive(Clone)]
struct Desk(Asker);

impl Desk {
    /// Asks, and waits for the answer for as long as `max`.
    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
        max: Duration,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.0.send(question(answer)).await.ok()?;
            answered.await.ok()
        };
        let answer = timeout(max, asked).await.ok().flatten();
        answer.ok_or_else(|| {
            let detail = "the daemon's own loop does not answer: it hangs, or ends";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }

    async fn view(&self) -> Result<View, Problem> {
        self.ask(Question::View, ANSWER_MAX).await
    }

    /// Gives the order, and tells what the agent does then: it hears of it at once, unless it is
    /// between two sessions.
    async fn pause(&self, agent: String, pause: bool) -> Result<Json<Agent>, Problem> {
        let name = agent.clone();
        let order = |known| Question::Pause { agent: name, pause, known };
        let is_known = self.ask(order, ANSWER_MAX).await?;
        let asked = Instant::now();
        loop {
            let view = self.view().await?;
            let found = found(&view, &agent)?;
            if !is_known {
                let detail = "the daemon is stopping: no agent is paused or resumed any more";
                return Err(Problem::new(StatusCode::CONFLICT, detail));
            }
            let works = found.state.works();
            let max = if works { HEARD_MAX } else { HEARD_MAX_WITHOUT_SESSION };
            if (found.state == agent::State::Paused) == pause || asked.elapsed() >= max {
                return Ok(Json(Agent::new(found)));
            }
            sleep(HEARD_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_or_is_gone_is_not_alive() {
        let (asker, questions) = desk::open();
        let hangs = livez(State(Desk(asker.clone()))).await;
        assert_eq!(hangs.map(drop).map_err(|problem| problem.status), Err(503));
        drop(questions);
        let gone = livez(State(Desk(asker))).await;
        assert_eq!(gone.map(drop).map_err(|problem| problem.status), Err(503));
    }

    #[test]
    fn the_list_for_people_has_every_route() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        for route in document["paths"].as_object().unwrap().keys().filter(|route| *route != "/") {
            let is_listed = INDEX.lines().any(|line| line.split_whitespace().nth(1) == Some(route));
            assert!(is_listed, "{route}");
        }
    }
}
