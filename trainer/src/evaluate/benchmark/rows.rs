//! Rows of benchmarks as their files have them, and the texts that lm-evaluation-harness makes of them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::TrainerError;
use crate::files::sha256_of;

/// Larger files are no benchmarks.
const MOST_BYTES: u64 = 1 << 30;
/// Choices are named by letters, of which there are as many.
const MOST_CHOICES: usize = 26;

/// What a file's rows are; each has the prompt of lm-evaluation-harness's task of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `question`, a list of `choices`, `answer`: the letters A, B, … are scored (`mmlu`).
    Mmlu,
    /// `question`, `choices` with `text` and `label`, `answerKey` (`arc_easy`, `arc_challenge`).
    Arc,
    /// `activity_label`, `ctx_a`, `ctx_b`, `endings`, `label` (`hellaswag`).
    HellaSwag,
    /// `goal`, `sol1`, `sol2`, `label` (`piqa`).
    Piqa,
    /// `question` and an `answer` that ends in `#### ` and a number: it is generated (`gsm8k`).
    Gsm8k,
    /// `prompt`, `test`, `entry_point`: a function that is written to its end and run (`humaneval`).
    HumanEval,
    /// `query`, a list of `choices`, `gold`: the query as it stands, then each choice.
    Choices,
}

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) line: u64,
    /// The part of the benchmark it belongs to.
    pub(super) subject: Option<String>,
    /// What stands before the answer.
    pub(super) query: String,
    pub(super) task: Task,
    /// The row as read, by which an item is told from its own example.
    row: Value,
}

/// What is asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    /// Which of these texts is likeliest.
    Choose { choices: Vec<String>, gold: usize },
    /// To come to the number of this text.
    Compute { target: String },
    /// To write on a program that this text, which stands behind it, does not fault.
    Program { test: String },
}

impl Item {
    /// The answer as an example shows it.
    fn answer(&self) -> &str {
        match &self.task {
            Task::Choose { choices, gold } => &choices[*gold],
            Task::Compute { target } => target,
            // Such items have no examples.
            Task::Program { .. } => "",
        }
    }

    /// The query and its answer, and the line between two examples.
    pub(super) fn shown(&self) -> String {
        format!("{} {}\n\n", self.query, self.answer())
    }

    pub(super) fn is_row_of(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

/// A file's items.
pub(super) struct Items {
    pub(super) path: PathBuf,
    pub(super) hash: String,
    pub(super) form: Form,
    pub(super) items: Vec<Item>,
}

/// Reads a file of one JSON object a line.
///
/// # Errors
/// [`TrainerError::Unreadable`] with the line.
pub(super) fn read(path: &Path) -> Result<Items, TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MOST_BYTES {
        let (most, found) = (MOST_BYTES >> 20, size >> 20);
        return Err(unreadable(format!("expected a benchmark of at most {most} MiB, found {found} MiB")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        unreadable(format!(
            "line {line}: expected UTF-8, found a byte that starts no character; save the file as UTF-8"
        ))
    })?;
    let (mut items, mut form) = (Vec::new(), None);
    // Some editors put a mark at the beginning of a file.
    for (line, number) in text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
    {
        let problem = |problem: String| unreadable(format!("line {number}: {problem}"));
        let row: Map<String, Value> = serde_json::from_str(line)
            .map_err(|error| problem(format!("expected a JSON object: {error}")))?;
        let form = match form {
            Some(form) => form,
            None => *form.insert(Form::of(&row).map_err(problem)?),
        };
        items.push(form.item(row, number).map_err(problem)?);
    }
    let form = form.ok_or_else(|| unreadable("the file is empty".to_owned()))?;
    Ok(Items { path: path.to_owned(), hash: sha256_of(&bytes), form, items })
}

impl Form {
    /// The name that a report has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mmlu => "mmlu",
            Self::Arc => "arc",
            Self::HellaSwag => "hellaswag",
            Self::Piqa => "piqa",
            Self::Gsm8k => "gsm8k",
            Self::HumanEval => "humaneval",
            Self::Choices => "choices",
        }
    }

    fn of(row: &Map<String, Value>) -> Result<Self, String> {
        let has = |names: &[&str]| names.iter().all(|name| row.contains_key(*name));
        if has(&["query", "choices", "gold"]) {
            Ok(Self::Choices)
        } else if has(&["question", "choices", "answerKey"]) {
            Ok(Self::Arc)
        } else if has(&["question", "choices", "answer"]) {
            Ok(Self::Mmlu)
        } else if has(&["ctx_a", "ctx_b", "endings", "label"]) {
            Ok(Self::HellaSwag)
        } else if has(&["goal", "sol1", "sol2", "label"]) {
            Ok(Self::Piqa)
        } else if has(&["prompt", "test", "entry_point"]) {
            Ok(Self::HumanEval)
        } else if has(&["question", "answer"]) {
            Ok(Self::Gsm8k)
        } else {
            let keys: Vec<&str> = row.keys().map(String::as_str).collect();
            Err(format!(
                "expected the fields of MMLU, ARC, HellaSwag, PIQA, GSM8K or HumanEval, or `query`, `choices` and `gold`; found {}",
                keys.join(", ")
            ))
        }
    }

    fn item(self, row: Map<String, Value>, line: u64) -> Result<Item, String> {
        let subject = ["subject", "category"].iter().find_map(|name| row.get(*name)?.as_str());
        let id = ["id", "ind", "task_id"].iter().find_map(|name| match row.get(*name)? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        });
        let (query, task) = match self {
            Self::Mmlu => mmlu(&row)?,
            Self::Arc => arc(&row)?,
            Self::HellaSwag => hellaswag(&row)?,
            Self::Piqa => {
                let choices = vec![text(&row, "sol1")?.to_owned(), text(&row, "sol2")?.to_owned()];
                (format!("Question: {}\nAnswer:", text(&row, "goal")?), choose(choices, &row, "label")?)
            }
            Self::Gsm8k => {
                let target = text(&row, "answer")?.to_owned();
                (format!("Question: {}\nAnswer:", text(&row, "question")?), Task::Compute { target })
            }
            Self::HumanEval => {
                let (test, function) = (text(&row, "test")?, text(&row, "entry_point")?);
                (
                    text(&row, "prompt")?.to_owned(),
                    Task::Program { test: format!("{test}\ncheck({function})") },
                )
            }
            Self::Choices => (
                text(&row, "query")?.to_owned(),
                choose(texts(row.get("choices"), "choices")?, &row, "gold")?,
            ),
        };
        Ok(Item {
            id: id.unwrap_or_else(|| line.to_string()),
            line,
            subject: subject.map(str::to_owned),
            query,
            task,
            row: Value::Object(row),
        })
    }
}

fn text<'r>(row: &'r Map<String, Value>, name: &str) -> Result<&'r str, String> {
    row.get(name).and_then(Value::as_str).ok_or_else(|| format!("expected `{name}` to be a text"))
}

fn texts(value: Option<&Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("expected `{name}` to be a list of texts");
    let list = value.and_then(Value::as_array).ok_or_else(wrong)?;
    list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// The place that a letter stands for.
fn of_letter(text: &str) -> Option<usize> {
    match text.trim().as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => None,
    }
}

/// The choices, and the one that is right: its place from 0, its letter or its text.
fn choose(choices: Vec<String>, row: &Map<String, Value>, name: &str) -> Result<Task, String> {
    if choices.len() < 2 || choices.len() > MOST_CHOICES {
        return Err(format!("expected 2 to {MOST_CHOICES} choices, found {}", choices.len()));
    }
    if let Some(empty) = choices.iter().position(String::is_empty) {
        return Err(format!("choice {} is empty", empty + 1));
    }
    let found = row.get(name).unwrap_or(&Value::Null);
    let place = match found {
        Value::Number(number) => number.as_u64().and_then(|place| usize::try_from(place).ok()),
        Value::String(text) => {
            let own = choices.iter().position(|choice| choice == text);
            own.or_else(|| of_letter(text)).or_else(|| text.trim().parse().ok())
        }
        _ => None,
    };
    match place.filter(|&place| place < choices.len()) {
        Some(gold) => Ok(Task::Choose { choices, gold }),
        None => {
            Err(format!("expected `{name}` to be one of {} choices, from 0; found {found}", choices.len()))
        }
    }
}

/// The question, the choices by letter, and the letters as what is scored.
fn mmlu(row: &Map<String, Value>) -> Result<(String, Task), String> {
    let choices = texts(row.get("choices"), "choices")?;
    let mut row = row.clone();
    // Letters are what is answered here: a choice that reads as another's letter is not meant.
    if let Some(place) = row.get("answer").and_then(Value::as_str).and_then(of_letter) {
        row.insert("answer".to_owned(), place.into());
    }
    let Task::Choose { choices, gold } = choose(choices, &row, "answer")? else {
        return Err("expected choices".to_owned());
    };
    let letters: Vec<String> =
        (b'A'..=b'Z').take(choices.len()).map(|letter| char::from(letter).to_string()).collect();
    let lines: String =
        letters.iter().zip(&choices).map(|(letter, choice)| format!("{letter}. {choice}\n")).collect();
    let query = format!("{}\n{lines}Answer:", text(&row, "question")?.trim());
    Ok((query, Task::Choose { choices: letters, gold }))
}

fn arc(row: &Map<String, Value>) -> Result<(String, Task), String> {
    let choices =
        row.get("choices").and_then(Value::as_object).ok_or("expected `choices` with `text` and `label`")?;
    let labels = texts(choices.get("label"), "choices.label")?;
    let key = text(row, "answerKey")?;
    let gold = labels.iter().position(|label| label == key);
    let gold =
        gold.ok_or_else(|| format!("expected `answerKey` to be one of {}; found {key}", labels.join(", ")))?;
    let mut with_gold = row.clone();
    with_gold.insert("answerKey".to_owned(), gold.into());
    let task = choose(texts(choices.get("text"), "choices.text")?, &with_gold, "answerKey")?;
    Ok((format!("Question: {}\nAnswer:", text(row, "question")?), task))
}

fn hellaswag(row: &Map<String, Value>) -> Result<(String, Task), String> {
    let (label, first, second) = (text(row, "activity_label")?, text(row, "ctx_a")?, text(row, "ctx_b")?);
    let mut characters = second.chars();
    // Python's `capitalize`.
    let second: String = characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(characters.flat_map(char::to_lowercase))
        .collect();
    let endings = texts(row.get("endings"), "endings")?;
    let endings = endings.iter().map(|ending| without_titles(ending)).collect();
    Ok((without_titles(&format!("{label}: {first} {second}")), choose(endings, row, "label")?))
}

/// Texts of WikiHow have titles in brackets, which are left out.
fn without_titles(text: &str) -> String {
    let text = text.trim().replace(" [title]", ". ");
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(open) = rest.find('[') {
        // As the pattern `\[.*?\]` has it, which does not go beyond a line.
        let inner = &rest[open + 1..];
        match inner.find(']').filter(|close| !inner[..*close].contains('\n')) {
            Some(close) => {
                kept.push_str(&rest[..open]);
                rest = &inner[close + 1..];
            }
            None => {
                kept.push_str(&rest[..=open]);
                rest = inner;
            }
        }
    }
    (kept + rest).replace("  ", " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(row: Value) -> Result<Item, String> {
        let Value::Object(row) = row else { panic!("an object") };
        Form::of(&row)?.item(row, 1)
    }

    #[test]
    fn rows_become_the_texts_of_the_harness() {
        let mmlu = item(
            json!({"question": " Why? ", "choices": ["a", "b", "c", "d"], "answer": 2, "subject": "x_y"}),
        );
        let mmlu = mmlu.expect("an item");
        assert_eq!(mmlu.query, "Why?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
        assert_eq!(mmlu.shown(), "Why?\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n");
        let arc = item(
            json!({"question": "Why?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}),
        );
        assert_eq!(arc.expect("an item").shown(), "Question: Why?\nAnswer: y\n\n");
        let hellaswag = item(
            json!({"activity_label": "Baking", "ctx_a": "She stands. [header] Then", "ctx_b": "she SITS",
            "endings": ["a [title] b  c", "d"], "label": "0"}),
        );
        let hellaswag = hellaswag.expect("an item");
        assert_eq!(hellaswag.query, "Baking: She stands. Then She sits");
        assert_eq!(hellaswag.shown(), "Baking: She stands. Then She sits a. b c\n\n");
        let gsm = item(json!({"question": "3 + 4?", "answer": "It is 7\n#### 7"})).expect("an item");
        assert_eq!(gsm.shown(), "Question: 3 + 4?\nAnswer: It is 7\n#### 7\n\n");
        let code = item(
            json!({"task_id": "HumanEval/0", "prompt": "def f():\n", "test": "def check(c):\n    c()\n", "entry_point": "f"}),
        );
        let code = code.expect("an item");
        assert_eq!((code.id.as_str(), code.query.as_str()), ("HumanEval/0", "def f():\n"));
        assert_eq!(code.task, Task::Program { test: "def check(c):\n    c()\n\ncheck(f)".to_owned() });
        let letter =
            item(json!({"question": "Why?", "choices": ["a", "b"], "answer": "B"})).expect("an item");
        assert!(matches!(letter.task, Task::Choose { gold: 1, .. }));
        let swapped = item(json!({"question": "Which letter?", "choices": ["B", "A"], "answer": "B"}));
        assert!(
            matches!(swapped.expect("an item").task, Task::Choose { gold: 1, .. }),
            "the letter, not the text"
        );
    }

    #[test]
    fn files_may_begin_with_a_mark_and_bad_bytes_have_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("b.jsonl");
        let row = "{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n";
        std::fs::write(&file, format!("\u{feff}{row}")).expect("written");
        assert_eq!(read(&file).expect("a benchmark").items.len(), 1);
        std::fs::write(&file, [row.as_bytes(), b"{\"query\": \"\xff\"}\n"].concat()).expect("written");
        let found = read(&file).err().expect("a problem").to_string();
        assert!(found.contains("line 2: expected UTF-8"), "{found}");
    }

    #[test]
    fn rows_that_are_none_are_named() {
        for (row, part) in [
            (json!({"text": "a"}), "expected the fields of MMLU, ARC"),
            (json!({"query": "a", "choices": ["b"], "gold": 0}), "expected 2 to 26 choices, found 1"),
            (json!({"query": "a", "choices": ["b", ""], "gold": 0}), "choice 2 is empty"),
            (json!({"query": "a", "choices": ["b", "c"], "gold": 2}), "one of 2 choices, from 0; found 2"),
            (
                json!({"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": "C"}),
                "found C",
            ),
        ] {
            let found = item(row).expect_err("a problem");
            assert!(found.contains(part), "{found}");
        }
    }
}
