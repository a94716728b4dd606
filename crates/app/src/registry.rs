//! A schema registry with the Confluent API.

use std::time::Duration;

use record::stage::SchemaLookup;
use serde_json::{Value, json};

use crate::config::RegistrySettings;
use crate::outgoing::{Outgoing, detail};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_048_576;

/// What a registry's call failed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    /// It did not answer, or not as a registry does.
    #[error("registry {url} cannot be reached: {detail}")]
    Unreachable { url: String, detail: String },
    /// It refused the schema as incompatible.
    #[error("subject {subject}: the registry refuses the schema as incompatible: {detail}")]
    Incompatible { subject: String, detail: String },
    /// It does not let us in.
    #[error(
        "registry {url} does not let us in (status {status}): what registry.username and registry.password_file, or \
         registry.token_file, say is not right"
    )]
    NotLetIn { url: String, status: u16 },
    /// It refused.
    #[error("registry {url} refuses with status {status}: {detail}")]
    Refused { url: String, status: u16, detail: String },
}

/// A client of a registry.
#[derive(Debug)]
pub(crate) struct Registry {
    url: String,
    outgoing: Outgoing,
}

/// A status and what came with it.
struct Answer {
    status: u16,
    body: Value,
}

impl Registry {
    pub(crate) fn new(settings: &RegistrySettings) -> Registry {
        let outgoing = Outgoing::new(&settings.access, Duration::from_millis(settings.timeout_ms));
        Registry { url: settings.url.clone(), outgoing }
    }

    /// The schema of an id, as it was registered.
    pub(crate) fn schema_by_id(&self, id: u32) -> Result<SchemaLookup, RegistryError> {
        let answer = self.get(&format!("/schemas/ids/{id}"))?;
        match (answer.status, answer.body.get("schema").and_then(Value::as_str)) {
            (200, Some(text)) => Ok(SchemaLookup::Found(text.to_owned())),
            (404, _) => Ok(SchemaLookup::NotFound),
            _ => Err(self.refused(answer)),
        }
    }

    /// The id under which a schema is registered for a subject; `None` if it is not.
    pub(crate) fn lookup(&self, subject: &str, text: &str) -> Result<Option<u32>, RegistryError> {
        let answer = self.post(&format!("/subjects/{}", encoded(subject)), text)?;
        match answer.status {
            200 => self.id_of(answer).map(Some),
            404 => Ok(None),
            _ => Err(self.refused(answer)),
        }
    }

    /// Registers a schema for a subject; registering the same again gives the same id.
    pub(crate) fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        let answer = self.post(&format!("/subjects/{}/versions", encoded(subject)), text)?;
        match answer.status {
            200 => self.id_of(answer),
            409 => Err(RegistryError::Incompatible { subject: subject.to_owned(), detail: message(&answer.body) }),
            _ => Err(self.refused(answer)),
        }
    }

    /// Whether the registry would take a schema as the next version of a subject.
    pub(crate) fn compatible(&self, subject: &str, text: &str) -> Result<bool, RegistryError> {
        let answer = self.post(&format!("/compatibility/subjects/{}/versions/latest", encoded(subject)), text)?;
        match (answer.status, answer.body.get("is_compatible").and_then(Value::as_bool)) {
            (200, Some(compatible)) => Ok(compatible),
            // There is no version yet that it could be incompatible with.
            (404, _) => Ok(true),
            _ => Err(self.refused(answer)),
        }
    }

    fn get(&self, path: &str) -> Result<Answer, RegistryError> {
        let mut request = self.outgoing.agent().get(format!("{}{path}", self.url));
        if let Some(authorization) = self.outgoing.authorization() {
            request = request.header("Authorization", authorization);
        }
        self.answer(request.call())
    }

    fn post(&self, path: &str, schema: &str) -> Result<Answer, RegistryError> {
        let mut request = self
            .outgoing
            .agent()
            .post(format!("{}{path}", self.url))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json");
        if let Some(authorization) = self.outgoing.authorization() {
            request = request.header("Authorization", authorization);
        }
        self.answer(request.send(json!({ "schema": schema, "schemaType": "AVRO" }).to_string()))
    }

    fn answer(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, RegistryError> {
        let unreachable = |detail: String| RegistryError::Unreachable { url: self.url.clone(), detail };
        let mut response = response.map_err(|error| unreachable(detail(&error)))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| unreachable(error.to_string()))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status >= 500 {
            return Err(unreachable(format!("status {status}: {}", message(&body))));
        }
        Ok(Answer { status, body })
    }

    fn id_of(&self, answer: Answer) -> Result<u32, RegistryError> {
        let id = answer.body.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.refused(answer))
    }

    fn refused(&self, answer: Answer) -> RegistryError {
        if matches!(answer.status, 401 | 403) {
            return RegistryError::NotLetIn { url: self.url.clone(), status: answer.status };
        }
        RegistryError::Refused { url: self.url.clone(), status: answer.status, detail: message(&answer.body) }
    }
}

fn message(body: &Value) -> String {
    let text = body.get("message").and_then(Value::as_str).unwrap_or("no message");
    text.chars().take(400).collect()
}

fn encoded(subject: &str) -> String {
    let mut text = String::new();
    record::encode_part(subject, &mut text);
    text
}
