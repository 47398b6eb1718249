//! The object that `--json` prints.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::outcome::{Ending, Failure, Outcome, Output, Usage};
use super::report::own_part;

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Cow<'a, Failure>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Output>,
}

/// One line.
pub(crate) fn document(outcome: &Outcome) -> Vec<u8> {
    let exit_code = outcome.exit_code();
    let returned = if let Ending::Returned(result) = &outcome.ending { Some(result) } else { None };
    let failure = match &outcome.ending {
        Ending::Returned(_) => None,
        Ending::Failed(failure) => Some(Cow::Borrowed(failure)),
        Ending::Interrupted(number) => {
            let signal = llib_core::sys::signal::name(*number);
            let message = format!("llib run was told to end by SIG{signal}");
            Some(Cow::Owned(Failure { signal: Some(signal), ..Failure::new("killed", message) }))
        }
    };
    let document = Document {
        ok: exit_code == 0,
        exit_code,
        result: returned.and_then(|result| result.as_deref().ok()),
        result_error: returned.and_then(|result| result.as_ref().err()).map(String::as_str),
        // A script that ends with os.exit(0) has not failed.
        failure: failure.filter(|_| exit_code != 0),
        usage: outcome.usage.as_ref(),
        output: outcome.output.as_ref(),
    };
    // Fails for maps with keys that are no strings, and there is none.
    let mut line = serde_json::to_vec(&document).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Bytes as the text that they most likely are.
pub(super) fn text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// What is shown of a traceback, if anything is.
pub(super) fn traceback<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    text(bytes.as_deref().and_then(own_part).unwrap_or_default().trim_ascii_end(), serializer)
}

/// A number without a fraction where there is none.
pub(super) fn number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => serializer.serialize_i64(value as i64),
        value => value.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: &Outcome) -> String {
        String::from_utf8(document(outcome)).unwrap()
    }

    #[test]
    fn a_result_is_a_list_and_what_cannot_be_told_has_a_reason() {
        let returned = |result| Outcome { ending: Ending::Returned(result), ..Outcome::default() };
        assert_eq!(
            line(&returned(Ok(vec![Value::from(1), Value::Null]))),
            "{\"ok\":true,\"exit_code\":0,\"result\":[1,null]}\n"
        );
        assert_eq!(
            line(&returned(Err("no".to_owned()))),
            "{\"ok\":true,\"exit_code\":0,\"result_error\":\"no\"}\n"
        );
    }

    #[test]
    fn a_failure_has_what_it_has() {
        let failure = Failure {
            limit: Some(500.0),
            signal: Some("KILL".to_owned()),
            ..Failure::new("deadline", b"late\xff".to_vec())
        };
        assert_eq!(
            line(&failure.into()),
            "{\"ok\":false,\"exit_code\":124,\"failure\":{\"kind\":\"deadline\",\"message\":\"late\u{fffd}\",\"signal\":\"KILL\",\"limit\":500}}\n"
        );
        let exit = Failure { code: Some(0), ..Failure::new("exit", "") };
        assert_eq!(line(&exit.into()), "{\"ok\":true,\"exit_code\":0}\n");
        let stopped = Outcome { ending: Ending::Interrupted(15), ..Outcome::default() };
        assert!(
            line(&stopped).starts_with("{\"ok\":false,\"exit_code\":143,\"failure\":{\"kind\":\"killed\",")
        );
    }
}
