//! What is said of JSON that cannot be used.

use serde_json::error::Category;

/// What is wrong with a line of JSON, without quoting it: what stands there may be what a person said.
pub(super) fn json_mistake(error: &serde_json::Error) -> String {
    let message = error.to_string();
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("field {} is missing", field.split(" at line").next().unwrap_or_default());
    }
    let what = match error.classify() {
        Category::Data if message.starts_with("unknown field") => "a field that there is not",
        Category::Data => "a field of another type or with another value than is right",
        Category::Eof => "the end comes too early",
        Category::Syntax | Category::Io => "no valid JSON",
    };
    format!("{what} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[serde(rename = "id")]
        _id: String,
    }

    #[test]
    fn nothing_of_a_line_is_quoted() {
        for (line, told) in [
            ("{}", "field `id` is missing"),
            ("\"rahasia\"", "a field of another type or with another value than is right at column 9"),
            ("{\"id\":[\"rahasia\"]}", "a field of another type or with another value than is right at column 6"),
            ("{\"rahasia\":1}", "a field that there is not at column 10"),
            ("{\"id\":\"rahasia", "the end comes too early at column 14"),
            ("{\"id\":rahasia}", "no valid JSON at column 7"),
        ] {
            let error = serde_json::from_str::<Line>(line).unwrap_err();
            assert_eq!(json_mistake(&error), told, "{line}");
        }
    }
}
