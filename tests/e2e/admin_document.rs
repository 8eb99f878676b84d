//! `docs/openapi.json` has every route and no other, and real answers are as it says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::admin::{Admin, Answer};
use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Daemon, Gate, Message, Publisher, Reply};

fn document() -> Value {
    serde_json::from_str(&std::fs::read_to_string("docs/openapi.json").unwrap()).unwrap()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = document();
    let told: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let source = std::fs::read_to_string("src/admin/routes.rs").unwrap();
    let routes = source.split(".route(\"").skip(1);
    let routes: BTreeSet<String> =
        routes.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert!(routes.len() > 5, "routes.rs is no longer read right: {routes:?}");
    assert_eq!(told, routes);
}

/// What of `value` is not as `schema` says, of the words that the document uses.
fn faults(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointed = document.pointer(name.trim_start_matches('#'));
        let pointed = pointed.unwrap_or_else(|| panic!("{name} leads nowhere"));
        return faults(document, pointed, value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| faults(document, choice, value, place).is_empty();
        let count = choices.iter().filter(fits).count();
        return if count == 1 { Vec::new() } else { vec![format!("{place}: {count} fit")] };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let kinds = schema["type"].as_array();
    let is_right =
        kinds.map_or_else(|| is_kind(&schema["type"]), |kinds| kinds.iter().any(is_kind));
    if !is_right {
        return vec![format!("{place} is {kind}, not {}", schema["type"])];
    }
    let mut wrong = Vec::new();
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        wrong.push(format!("{place} is {value}, none of {words:?}"));
    }
    if let (Some(text), "date-time") = (value.as_str(), schema["format"].as_str().unwrap_or(""))
        && !(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T')
    {
        wrong.push(format!("{place} is {text}, no time"));
    }
    for item in value.as_array().into_iter().flatten() {
        wrong.extend(faults(document, &schema["items"], item, &format!("{place}[]")));
    }
    if let Some(fields) = value.as_object() {
        for (name, field) in fields {
            let place = format!("{place}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Object(_)) => {
                    let others = &schema["additionalProperties"];
                    wrong.extend(faults(document, others, field, &place));
                }
                (Value::Null, Value::Null) => {}
                (Value::Null, _) => wrong.push(format!("{place} is not in the document")),
                (known, _) => wrong.extend(faults(document, known, field, &place)),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let missing = required.filter(|name| !fields.contains_key(name.as_str().unwrap()));
        wrong.extend(missing.map(|name| format!("{place} has no {name}")));
    }
    wrong
}

#[test]
fn the_check_itself_finds_what_is_wrong() {
    let document = document();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/Reload" });
    let broken = serde_json::json!({ "at": "yesterday", "ok": 1, "refused": null, "more": 1 });
    let faults = faults(&document, &schema, &broken, "reload");
    for part in ["no time", "reload.ok is integer", "reload.more", "has no \"started\""] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    }
}

#[test]
fn the_answers_that_people_read_of_are_as_the_document_says() {
    let (document, page) = (document(), std::fs::read_to_string("docs/admin.md").unwrap());
    for (heading, name) in [
        ("readyz", "Readiness"),
        ("agents", "Daemon"),
        ("Reload", "Reload"),
        ("KrakenD's health", "Health"),
    ] {
        let section = page.split(&format!("\n## {heading}\n")).nth(1).expect(heading);
        let block = section.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let schema = serde_json::json!({ "$ref": format!("#/components/schemas/{name}") });
        let faults = faults(&document, &schema, &serde_json::from_str(block).unwrap(), heading);
        assert!(faults.is_empty(), "{heading}: {faults:#?}");
    }
}

/// Asks, and holds the answer to what the document says of it.
async fn ask(document: &Value, admin: &Admin, method: &str, route: &str, status: u16) -> Answer {
    let answer = admin.ask_with(method, &route.replace("{name}", "orders"), "").await;
    assert_eq!(answer.status, status, "{method} {route}: {answer:?}");
    holds(document, &answer, method, route);
    answer
}

fn holds(document: &Value, answer: &Answer, method: &str, route: &str) {
    let operation = &document["paths"][route][method.to_lowercase()];
    let told = &operation["responses"][answer.status.to_string()];
    assert!(told.is_object(), "{method} {route}: {} is not told of", answer.status);
    let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
    let content = &told["content"][kind];
    assert!(content.is_object(), "{method} {route}: {kind} is not told of");
    if kind.ends_with("json") {
        let faults = faults(document, &content["schema"], &answer.json(), route);
        assert!(faults.is_empty(), "{method} {route}: {faults:#?}");
    }
}

#[tokio::test]
async fn real_answers_are_as_the_document_says() {
    let document = document();
    let vhost = Broker::any().vhost();
    let (backend, gate) = (Backend::start(), Gate::new());
    let shut = gate.clone();
    backend.reply_with(move |request| match request.text().as_str() {
        "refused" => Reply::status(422),
        "late" => Reply::status(204).after(&shut),
        _ => Reply::status(204),
    });
    let mut daemon = Daemon::running([
        // One request stays under way for as long as the test asks.
        &Agent::new("orders", &vhost, &backend).set("consumer.timeout", "1m"),
        &Agent::between("lost", "amqp://127.0.0.1:1/", &backend.url()),
    ])
    .await;
    let admin = daemon.admin();
    admin.wait_for_state("orders", "consuming").await;
    let mut publisher = Publisher::connect(&vhost).await;
    for body in ["well", "refused", "late"] {
        publisher.publish(Message::to("orders", body)).await;
    }
    let is_late = |requests: &[Request]| requests.iter().any(|request| request.text() == "late");
    backend.wait_until("the late one", is_late).await;
    admin
        .wait_for("/agents/orders", "a dead letter", |answer| {
            answer.json()["counts"]["dead_lettered"]["refused"] == 1
        })
        .await;
    let get = async |route, status| ask(&document, &admin, "GET", route, status).await;
    for route in
        ["/", "/livez", "/metrics", "/agents", "/agents/{name}", "/__health", "/openapi.json"]
    {
        get(route, 200).await;
    }
    get("/readyz", 503).await;
    let post = async |route, status| ask(&document, &admin, "POST", route, status).await;
    post("/agents/{name}/pause", 200).await;
    post("/agents/{name}/resume", 200).await;
    post("/reload", 200).await;
    let nobody = admin.get("/agents/nobody").await;
    holds(&document, &nobody, "GET", "/agents/{name}");
    daemon.write_file("lost.toml", "x = 1\n");
    post("/reload", 422).await;
    get("/agents", 200).await;
    daemon.remove("lost");
    post("/reload", 200).await;
    admin.wait_for("/readyz", "readiness", |answer| answer.status == 200).await;
    get("/readyz", 200).await;
    daemon.signal("TERM");
    admin.wait_for("/readyz", "the stop", |answer| answer.status == 503).await;
    post("/agents/{name}/pause", 409).await;
    gate.open();
    assert!(daemon.wait_for_exit().await.success());
}
