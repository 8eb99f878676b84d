//! What a scripted backend does with a request.

use super::gate::Gate;

/// An HTTP reply, or what stands in its place.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) gate: Option<Gate>,
    pub(super) action: Action,
}

/// What goes out, once the gate is open.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A reply with its length said.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These octets, then the end of the stream.
    Raw(Vec<u8>),
    /// A head, and then a body without end.
    Endless,
    /// TCP RST.
    Reset,
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    /// An answer without body.
    pub fn status(status: u16) -> Reply {
        Action::Answer { status, headers: Vec::new(), body: Vec::new() }.into()
    }

    /// Octets in place of HTTP, and then the end of the connection.
    pub fn raw(octets: impl Into<Vec<u8>>) -> Reply {
        Action::Raw(octets.into()).into()
    }

    /// The connection ends in good order, without a reply.
    pub fn close() -> Reply {
        Reply::raw([])
    }

    /// The connection is reset.
    pub fn reset() -> Reply {
        Action::Reset.into()
    }

    /// 200, and a body that goes on until the other side has had enough.
    pub fn endless() -> Reply {
        Action::Endless.into()
    }

    /// No answer, while the connection stays open.
    pub fn hang() -> Reply {
        Action::Hang.into()
    }

    /// Adds a header; only to an answer.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        if let Action::Answer { headers, .. } = &mut self.action {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets the body; only of an answer.
    pub fn body(mut self, octets: impl Into<Vec<u8>>) -> Reply {
        if let Action::Answer { body, .. } = &mut self.action {
            *body = octets.into();
        }
        self
    }

    /// Not before the gate lets it pass.
    pub fn after(mut self, gate: &Gate) -> Reply {
        self.gate = Some(gate.clone());
        self
    }
}

impl From<Action> for Reply {
    fn from(action: Action) -> Reply {
        Reply { gate: None, action }
    }
}
