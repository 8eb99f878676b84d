//! The steps and the ending of a story, for programs.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::agent::rehearsal::{Ending, Endless, Event, Said, Step, Wait};
use crate::outcome::Outcome;

pub(super) fn step_json(step: &Step) -> Json {
    let (name, mut json) = match &step.event {
        Event::Delivered { number, redelivered } => {
            ("delivered", json!({ "number": number, "redelivered": redelivered }))
        }
        Event::Tried { attempt, as_probe, said } => (
            "tried",
            json!({
                "attempt": attempt,
                "probe": as_probe,
                "said": said.iter().map(said_json).collect::<Vec<_>>(),
            }),
        ),
        Event::Asked(said) => ("asked", json!({ "said": [said_json(said)] })),
        Event::HoldBegan { backend, unreachable } => {
            ("hold_began", json!({ "backend": &**backend, "unreachable": unreachable }))
        }
        Event::HoldEnded => ("hold_ended", json!({})),
        Event::Released => ("released", json!({})),
        Event::TryInPlace { wait, is_left_alone, in_doubt } => (
            "try_in_place",
            json!({ "wait": wait_json(*wait), "left_alone": is_left_alone, "in_doubt": in_doubt }),
        ),
        Event::TryOn(wait) => ("try_on", json!({ "wait": wait_json(*wait) })),
        Event::Stuck(wait) => ("stuck", json!({ "wait": wait_json(*wait) })),
        Event::Requeue { wait, counted, in_queue } => (
            "requeue",
            json!({
                "wait": wait_json(*wait),
                "counted": counted,
                "in_queue_ms": millis(*in_queue),
            }),
        ),
        Event::CopyTo { queue, delay } => {
            ("copy", json!({ "queue": queue, "delay_ms": millis(*delay) }))
        }
    };
    json["at_ms"] = millis(step.at).into();
    json["event"] = name.into();
    json
}

fn wait_json(wait: Wait) -> Json {
    json!({
        "ms": millis(wait.middle),
        "least_ms": millis(wait.least),
        "most_ms": millis(wait.most),
    })
}

fn said_json(said: &Said) -> Json {
    let outcome = match said.outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused => "refused",
        Outcome::TryAgain { .. } => "try_again",
        Outcome::Unwell { .. } => "unwell",
    };
    json!({
        "backend": &*said.backend,
        "required": said.required,
        "reply": said.reply,
        "outcome": outcome,
    })
}

pub(super) fn ending_json(ending: &Ending) -> Json {
    match ending {
        Ending::Delivered => json!({ "settled": true, "how": "delivered" }),
        Ending::Acked => json!({ "settled": true, "how": "acked" }),
        Ending::DeadLettered { exchange, routing_key, reason } => json!({
            "settled": true,
            "how": "dead_lettered",
            "exchange": exchange,
            "routing_key": routing_key,
            "reason": reason.to_string(),
        }),
        Ending::Discarded => json!({ "settled": true, "how": "discarded" }),
        Ending::DeliveryLimit(limit) => {
            json!({ "settled": true, "how": "delivery_limit", "limit": limit })
        }
        Ending::Never(why) => json!({
            "settled": false,
            "how": match why {
                Endless::Held => "held",
                Endless::Stuck => "stuck",
                Endless::GoesRound => "goes_round",
            },
        }),
        Ending::Cut => json!({ "settled": false, "how": "cut" }),
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
