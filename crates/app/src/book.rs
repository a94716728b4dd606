//! What the documents print is what the program takes: commands are parsed, configurations checked for their keys.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::config::{Config, DEFAULT};

/// All documents for users, with their names.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut waiting: Vec<PathBuf> =
        ["docs/src", "deploy", "README.md", "schemas/README.md", "ARCHITECTURE.md"].map(|name| root.join(name)).into();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The lines of code of a document, with the language of their block; an indented block has none.
fn code(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut fence: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut fence, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => fence = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(fence.take()),
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {
                if let Some(line) = line.strip_prefix("    ") {
                    blocks.push((String::new(), format!("{line}\n")));
                }
            }
        }
    }
    blocks
}

/// Arguments of each `sinyal` in a line of shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ").trim_end_matches('\\');
    // What begins another command, or is no word of this one, is set apart first; quotes keep theirs.
    let mut apart = String::new();
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            (None, '|' | '&' | ';' | '(' | ')' | '<' | '>') => {
                apart.push_str(&format!(" {letter} "));
                continue;
            }
            _ => {}
        }
        apart.push(letter);
    }
    let Some(words) = shlex::split(&apart) else { return Vec::new() };
    let mut calls = Vec::new();
    for command in words.split(|word| matches!(word.as_str(), "|" | "&" | ";" | "(" | ")")) {
        let begin = command.iter().position(|word| !word.contains('=')).unwrap_or(0);
        if command.get(begin).is_some_and(|word| word == "sinyal" || word.ends_with("/sinyal")) {
            let end = command.iter().position(|word| word == ">" || word == "<").unwrap_or(command.len());
            // The number of what is redirected is no argument.
            let end = if end > begin && command[end - 1] == "2" { end - 1 } else { end };
            calls.push(command[begin..end.max(begin)].to_vec());
        }
    }
    calls
}

/// Whether the command line could be meant: of what is quoted in a sentence arguments may be left out.
fn refusal(call: &[String], whole: bool) -> Option<String> {
    let error = Cli::try_parse_from(call).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        // A name in capitals stands for a value.
        ErrorKind::ValueValidation if !whole => None,
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !whole => None,
        _ => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

#[test]
fn commands_that_are_printed_are_understood() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in documents() {
        for (language, block) in code(&text) {
            if matches!(language.as_str(), "" | "sh" | "bash" | "console") {
                for call in block.lines().flat_map(calls) {
                    seen += 1;
                    wrong.extend(refusal(&call, true).map(|why| format!("{name}: {}: {why}", call.join(" "))));
                }
            }
        }
        for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("sinyal ")) {
            // A choice or the rest of a sentence stands for several.
            if quoted.contains(['|', '…', '[']) {
                continue;
            }
            for call in calls(quoted) {
                seen += 1;
                wrong.extend(refusal(&call, false).map(|why| format!("{name}: `{quoted}`: {why}")));
            }
        }
    }
    assert!(seen > 50, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn configurations_that_are_printed_have_keys_that_there_are() {
    let mut blocks: Vec<(String, String)> = documents()
        .into_iter()
        .flat_map(|(name, text)| code(&text).into_iter().map(move |(language, block)| (name.clone(), language, block)))
        .filter(|(_, language, _)| language == "toml")
        .map(|(name, _, block)| (name, block))
        .collect();
    let example = include_str!("../../../deploy/sinyal.example.toml");
    blocks.push(("deploy/sinyal.example.toml".to_owned(), example.to_owned()));
    blocks.push(("config default".to_owned(), DEFAULT.to_owned()));
    for (name, block) in blocks {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &block).unwrap();
        // Files of secrets that it names are not here.
        let errors = Config::load(Some(file.path()), []).err().map(|errors| errors.0).unwrap_or_default();
        let wrong: Vec<&String> =
            errors.iter().filter(|error| !error.contains("a file that can be read is right")).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

#[test]
fn commands_are_found_in_lines_of_shell() {
    let check = |line: &str, expected: &[&str]| {
        let found: Vec<String> = calls(line).iter().map(|call| call.join(" ")).collect();
        assert_eq!(found, expected, "{line}");
    };
    check(
        "sinyal sim --interactions 5 | sinyal ingest - --config a.toml",
        &["sinyal sim --interactions 5", "sinyal ingest - --config a.toml"],
    );
    check("A=b sinyal check 2>log   # what it says", &["sinyal check"]);
    check(
        "cargo build && ./target/release/sinyal route --text 'a | b; c'",
        &["./target/release/sinyal route --text a | b; c"],
    );
    check("echo sinyal check", &[]);
}
