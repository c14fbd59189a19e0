//! A Modelfile, with which Ollama serves a GGUF file as it was trained.
//!
//! Format: <https://docs.ollama.com/modelfile>; templates are Go's `text/template` over `.Messages`.

mod turns;

pub use turns::{Render, Turn, Turns};

/// What a text of several lines stands between.
const QUOTES: &str = "\"\"\"";
const ENDS: &str = "the template writes three quotation marks, which end a text in a Modelfile";

/// Text of a Modelfile.
///
/// `file` is the GGUF file as the Modelfile names it; `begins` says that the tokenizer itself puts the beginning token
/// before every document, so that the template must not; `stops` end an answer.
///
/// # Errors
/// In words, where a piece of the template cannot be written down.
pub fn modelfile(file: &str, turns: &Turns, begins: bool, stops: &[String]) -> Result<String, String> {
    let mut text = format!("FROM {file}\nTEMPLATE \"\"\"{}\"\"\"\n", template(turns, begins)?);
    for stop in stops {
        text.push_str(&format!("PARAMETER stop {}\n", quoted(stop)?));
    }
    Ok(text)
}

fn template(turns: &Turns, begins: bool) -> Result<String, String> {
    let mut text = if begins { String::new() } else { literal(&turns.begin)? };
    if !turns.without_system.is_empty() {
        let without = literal(&turns.without_system)?;
        match turns.system {
            Some(_) => text.push_str(&format!("{{{{ if not .System }}}}{without}{{{{ end }}}}")),
            None => text.push_str(&without),
        }
    }
    text.push_str("{{ range .Messages }}");
    let roles = [
        ("system", turns.system.as_ref()),
        ("user", Some(&turns.user)),
        ("assistant", Some(&turns.assistant)),
    ];
    let mut word = "if";
    for (role, around) in roles {
        let Some((before, behind)) = around else { continue };
        let (before, behind) = (literal(before)?, literal(behind)?);
        text.push_str(&format!("{{{{ {word} eq .Role \"{role}\" }}}}{before}{{{{ .Content }}}}{behind}"));
        word = "else if";
    }
    text.push_str("{{ end }}{{ end }}");
    text.push_str(&literal(&turns.generation)?);
    if text.contains(QUOTES) {
        return Err(ENDS.to_owned());
    }
    // A mark at the end would stand before three.
    Ok(match text.strip_suffix('"') {
        Some(before) => format!("{before}{{{{ \"\\\"\" }}}}"),
        None => text,
    })
}

/// Text between actions, as it is.
fn literal(text: &str) -> Result<String, String> {
    if text.contains(QUOTES) {
        return Err(ENDS.to_owned());
    }
    // The string inside is Go's.
    let text = text.replace("{{", "{{ \"{{\" }}");
    // One at the end would be read together with the action behind it.
    Ok(match text.strip_suffix('{') {
        Some(before) => format!("{before}{{{{ \"{{\" }}}}"),
        None => text,
    })
}

fn quoted(stop: &str) -> Result<String, String> {
    if stop.contains(['"', '\n', '\r']) {
        return Err(format!("{stop:?} cannot be a stop of a Modelfile"));
    }
    Ok(format!("\"{stop}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modelfile_is_written() {
        let around = |role: &str| (format!("<{role}>"), "<end>".to_owned());
        let turns = Turns {
            begin: "<s>".to_owned(),
            without_system: "{{none}}".to_owned(),
            system: Some(around("system")),
            user: around("user"),
            assistant: around("assistant"),
            generation: "<assistant>".to_owned(),
            trims: false,
        };
        let text = modelfile("./model.gguf", &turns, true, &["<end>".to_owned()]).expect("text");
        let expected = "FROM ./model.gguf\nTEMPLATE \"\"\"{{ if not .System }}{{ \"{{\" }}none}}{{ end }}{{ range .Messages }}\
            {{ if eq .Role \"system\" }}<system>{{ .Content }}<end>{{ else if eq .Role \"user\" }}<user>{{ .Content }}<end>\
            {{ else if eq .Role \"assistant\" }}<assistant>{{ .Content }}<end>{{ end }}{{ end }}<assistant>\"\"\"\n\
            PARAMETER stop \"<end>\"\n";
        assert_eq!(text, expected);
        let own = modelfile("m", &turns, false, &[]).expect("text");
        assert!(own.contains("\"\"\"<s>{{ if"), "{own}");
        // What stands beside an action or the end is not read as part of it.
        let brace = |before: &str| (before.to_owned(), String::new());
        let braces = Turns {
            user: brace("{"),
            assistant: brace("{{{"),
            generation: "say \"".to_owned(),
            ..turns.clone()
        };
        let text = modelfile("m", &braces, true, &[]).expect("text");
        for part in [
            "\"user\" }}{{ \"{\" }}{{ .Content }}",
            "\"assistant\" }}{{ \"{{\" }}{{ \"{\" }}{{ .Content }}",
            "say {{ \"\\\"\" }}\"\"\"\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("{{{"), "{text}");
        let split = Turns {
            begin: "\"\"".to_owned(),
            without_system: "\"".to_owned(),
            system: None,
            ..turns.clone()
        };
        assert!(modelfile("m", &split, false, &[]).is_err(), "three in two pieces");
        let marks = Turns { generation: "\"\"\"".to_owned(), ..turns };
        assert!(modelfile("m", &marks, false, &[]).is_err());
    }
}
