//! How much longer a normaliser or a cut into words can make a text: of a few steps, each of which replaces what the one before wrote, a
//! file of a kilobyte would fill any memory.

use serde_json::Value;

/// By how much a character may grow. Decompositions of Unicode come to 18, and bytes that are written as characters double that.
const MOST: usize = 1 << 12;
/// The longest text in the place of a character, in bytes. The longest of Unicode's has 33.
pub(super) const LONGEST: usize = 256;

/// A step that replaces something.
struct Step<'a> {
    path: String,
    /// What it replaces; `None` for what only a text shows.
    pattern: Option<&'a str>,
    /// What it writes; `None` for what only a text shows.
    content: Option<&'a str>,
    factor: usize,
}

/// Gives the step at which a text could grow beyond all bounds; `parts` are steps in their order, each at its path.
pub(super) fn check(parts: &[(&str, &Value)]) -> Result<(), String> {
    let mut steps = Vec::new();
    parts.iter().try_for_each(|(path, part)| collect(path, part, &mut steps))?;
    // By how much each step and those before it, whose texts it may replace, make a character longer.
    let mut grown: Vec<usize> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let before = steps[..at].iter().zip(&grown).filter(|(before, _)| follows(before, step));
        let most = before.map(|(_, grown)| *grown).max().unwrap_or(1).saturating_mul(step.factor);
        if most > MOST {
            let Step { path, .. } = step;
            return Err(format!(
                "`{path}`: expected steps that make a character at most {MOST} times longer, found {most}"
            ));
        }
        grown.push(most);
    }
    Ok(())
}

fn follows(before: &Step<'_>, step: &Step<'_>) -> bool {
    match (before.content, step.pattern) {
        (Some(content), Some(pattern)) => pattern.chars().any(|character| content.contains(character)),
        _ => true,
    }
}

/// The steps of a part and of those that it consists of.
fn collect<'a>(path: &str, part: &'a Value, steps: &mut Vec<Step<'a>>) -> Result<(), String> {
    for key in ["normalizers", "pretokenizers", "decoders"] {
        for (index, part) in part.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            collect(&format!("{path}.{key}[{index}]"), part, steps)?;
        }
    }
    let path = path.to_owned();
    let text = |key: &str| part.get(key).and_then(Value::as_str);
    if let (Some(pattern), Some(content)) = (part.get("pattern"), text("content")) {
        if content.len() > LONGEST {
            return Err(format!(
                "`{path}.content`: expected at most {LONGEST} bytes, found {}",
                content.len()
            ));
        }
        let pattern =
            pattern.get("String").or(Some(pattern)).and_then(Value::as_str).filter(|text| !text.is_empty());
        let factor = content.len().div_ceil(pattern.map_or(1, str::len)).max(1);
        steps.push(Step { path, pattern, content: Some(content), factor });
    } else if let Some(replacement) = text("replacement") {
        steps.push(Step {
            path,
            pattern: Some(" "),
            content: Some(replacement),
            factor: replacement.len().max(1),
        });
    } else if text("type") == Some("ByteLevel") {
        steps.push(Step { path, pattern: None, content: None, factor: 2 });
    } else if part.get("precompiled_charsmap").is_some() {
        // What a map can write once; no real one is followed by another.
        steps.push(Step { path, pattern: None, content: None, factor: 64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(normalizer: &Value, pre_tokenizer: &Value) -> Result<(), String> {
        check(&[("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer)])
    }

    fn replace(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    #[test]
    fn steps_that_double_what_they_wrote_are_counted() {
        let doubled =
            |steps: usize| json!({"type": "Sequence", "normalizers": vec![replace("a", "aa"); steps]});
        assert_eq!(checked(&doubled(12), &Value::Null), Ok(()));
        let error = checked(&doubled(13), &Value::Null).expect_err("one too many");
        assert!(
            error.starts_with("`normalizer.normalizers[12]`: ") && error.ends_with("found 8192"),
            "{error}"
        );
        // With other characters, nothing is replaced twice.
        let wide: Vec<Value> = ('!'..'~').map(|one| replace(&one.to_string(), "\u{ff01}")).collect();
        assert_eq!(checked(&json!({"normalizers": wide}), &Value::Null), Ok(()));
        let regex = json!({"type": "Replace", "pattern": {"Regex": "."}, "content": "\u{ff01}"});
        assert!(checked(&json!({"normalizers": vec![regex; 8]}), &Value::Null).is_err());
        let bytes = |steps: usize| json!({"pretokenizers": vec![json!({"type": "ByteLevel"}); steps]});
        assert_eq!(checked(&doubled(2), &bytes(10)), Ok(()));
        assert!(checked(&doubled(3), &bytes(10)).is_err());
        assert_eq!(checked(&replace("a", &"b".repeat(LONGEST)), &Value::Null), Ok(()));
        let error = checked(&replace("a", &"b".repeat(LONGEST + 1)), &Value::Null).expect_err("too long");
        assert_eq!(error, "`normalizer.content`: expected at most 256 bytes, found 257");
    }

    #[test]
    fn what_models_have_is_no_growth() {
        let llama = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u{2581}"}, replace(" ", "\u{2581}")]});
        assert_eq!(checked(&llama, &Value::Null), Ok(()));
        let t5 = json!({"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": ""}, {"type": "Strip", "strip_left": false, "strip_right": true},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u{2581}"}]});
        let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
        assert_eq!(checked(&t5, &metaspace), Ok(()));
        let gpt = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated", "invert": false}, {"type": "ByteLevel"}]});
        assert_eq!(checked(&json!({"type": "NFC"}), &gpt), Ok(()));
    }
}
