//! A chat template as the pieces around its messages, found by rendering, and proved by rendering again.
//!
//! Ollama's templates are Go's, which cannot say all that Jinja can. Most chat templates put the same text before and behind
//! every message of a role, and those can be said in either.

/// A message, by its role.
pub type Turn<'a> = (&'a str, &'a str);

/// Renders a conversation; with `true` it ends where the next answer begins.
pub type Render<'a> = dyn Fn(&[Turn<'_>], bool) -> Result<String, String> + 'a;

/// What stands around the messages of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// What every conversation begins with.
    pub begin: String,
    /// What stands in the place of a system message where there is none.
    pub without_system: String,
    /// Before and behind a system message; `None` where the template takes none.
    pub system: Option<(String, String)>,
    /// Before and behind what is asked.
    pub user: (String, String),
    /// Before and behind an answer.
    pub assistant: (String, String),
    /// Where the next answer begins.
    pub generation: String,
    /// Whether the template takes white space off what is said, which these pieces do not.
    pub trims: bool,
}

// Nothing that a template would look for, trim or escape.
const SYSTEM: &str = "Sjx1 qk";
const ASKED: [&str; 3] = ["Ujx1 qk", "Ujx2 qk", "Ujx3 qk"];
const ANSWERS: [&str; 2] = ["Ajx1 qk", "Ajx2 qk"];
/// With what a template may take off.
const SPACED: &str = " \n Xjx1 qk \n ";

impl Turns {
    /// The pieces of a template; `begin` is the text of the token that begins a document, if the template may write it.
    ///
    /// # Errors
    /// In words, where the template is not made of such pieces.
    pub fn of(render: &Render<'_>, begin: Option<&str>) -> Result<Self, String> {
        let mut turns = Self::guess(render, begin)?;
        let other = |found: &str, expected: &str| {
            Err(format!("pieces around messages give {found:?} where the template gives {expected:?}"))
        };
        for (conversation, asks) in probes(turns.system.is_some()) {
            let (expected, found) = (render(&conversation, asks)?, turns.render(&conversation, asks));
            if found != expected {
                return other(&found, &expected);
            }
        }
        for conversation in spaced(turns.system.is_some()) {
            let (expected, found) = (render(&conversation, true)?, turns.render(&conversation, true));
            if without_space(&found) != without_space(&expected) {
                return other(&found, &expected);
            }
            turns.trims |= found != expected;
        }
        Ok(turns)
    }

    fn guess(render: &Render<'_>, begin: Option<&str>) -> Result<Self, String> {
        let one = render(&[("user", ASKED[0])], false)?;
        let asked = render(&[("user", ASKED[0])], true)?;
        let two = render(&[("user", ASKED[0]), ("assistant", ANSWERS[0])], false)?;
        let three = render(&[("user", ASKED[0]), ("assistant", ANSWERS[0]), ("user", ASKED[1])], false)?;
        let generation = behind(&asked, &one, "a question to be answered")?;
        let (before, behind_user) = around(&one, ASKED[0])?;
        let answer = behind(&two, &one, "an answer")?;
        let (before_answer, behind_answer) = around(&answer, ANSWERS[0])?;
        let (before_user, _) = around(&behind(&three, &two, "a second question")?, ASKED[1])?;
        let head = before
            .strip_suffix(before_user.as_str())
            .ok_or("the first question begins otherwise than later ones")?;
        let mut turns = Self {
            begin: String::new(),
            without_system: head.to_owned(),
            system: None,
            user: (before_user, behind_user),
            assistant: (before_answer, behind_answer),
            generation,
            trims: false,
        };
        // A template that takes no system message refuses it, or writes nothing of it.
        let with_system = render(&[("system", SYSTEM), ("user", ASKED[0])], false).ok();
        let parts = with_system.as_deref().and_then(|text| text.split_once(SYSTEM));
        if let Some((before, rest)) = parts {
            let (between, _) = around(rest, ASKED[0])?;
            let behind = between.strip_suffix(turns.user.0.as_str());
            let behind = behind.ok_or("a question behind a system message begins otherwise than others")?;
            turns.system = Some((before.to_owned(), behind.to_owned()));
        }
        if let Some(begin) = begin.filter(|begin| !begin.is_empty())
            && let Some(rest) = turns.without_system.strip_prefix(begin)
            && turns.system.as_ref().is_none_or(|(before, _)| before.starts_with(begin))
        {
            turns.without_system = rest.to_owned();
            if let Some((before, _)) = &mut turns.system {
                before.drain(..begin.len());
            }
            turns.begin = begin.to_owned();
        }
        Ok(turns)
    }

    /// A conversation of these pieces, as Ollama will write it.
    #[must_use]
    pub fn render(&self, conversation: &[Turn<'_>], asks: bool) -> String {
        let mut text = self.begin.clone();
        if !conversation.iter().any(|(role, _)| *role == "system") {
            text.push_str(&self.without_system);
        }
        for (role, content) in conversation {
            let around = match (*role, &self.system) {
                ("system", Some(around)) => around,
                ("assistant", _) => &self.assistant,
                _ => &self.user,
            };
            text.extend([around.0.as_str(), content, around.1.as_str()]);
        }
        if asks {
            text.push_str(&self.generation);
        }
        text
    }
}

/// Conversations that a template of pieces must render as its pieces do.
fn probes(with_system: bool) -> Vec<(Vec<Turn<'static>>, bool)> {
    let long = vec![
        ("user", ASKED[0]),
        ("assistant", ANSWERS[0]),
        ("user", ASKED[1]),
        ("assistant", ANSWERS[1]),
        ("user", ASKED[2]),
    ];
    let mut probes = vec![
        (long[..1].to_vec(), true),
        (long[..3].to_vec(), true),
        (long.clone(), true),
        (long[..4].to_vec(), false),
    ];
    if with_system {
        let with = |turns: &[Turn<'static>]| [&[("system", SYSTEM)], turns].concat();
        probes.extend([(with(&long[..1]), true), (with(&long), true), (with(&long[..2]), false)]);
    }
    probes
}

/// Conversations in which a message of each role has white space around it.
fn spaced(with_system: bool) -> Vec<Vec<Turn<'static>>> {
    let asked = ("user", ASKED[0]);
    let mut spaced = vec![vec![("user", SPACED)], vec![asked, ("assistant", SPACED), ("user", ASKED[1])]];
    if with_system {
        spaced.push(vec![("system", SPACED), asked]);
    }
    spaced
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What stands behind `start` in `text`.
fn behind(text: &str, start: &str, what: &str) -> Result<String, String> {
    let rest = text.strip_prefix(start);
    rest.map(str::to_owned).ok_or_else(|| format!("{what} changes what stands before it"))
}

/// What stands before and behind the one place of `content`.
fn around(text: &str, content: &str) -> Result<(String, String), String> {
    let mut parts = text.split(content);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(behind), None) => Ok((before.to_owned(), behind.to_owned())),
        _ => Err("a message is not written once and as it is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the manner of ChatML, with a system message of its own where none is given.
    fn chatml(turns: &[Turn<'_>], asks: bool) -> Result<String, String> {
        let mut text = "<s>".to_owned();
        if turns.first().is_none_or(|(role, _)| *role != "system") {
            text.push_str("<|im_start|>system\nBe kind.<|im_end|>\n");
        }
        for (role, content) in turns {
            text.push_str(&format!("<|im_start|>{role}\n{content}<|im_end|>\n"));
        }
        text.push_str(if asks { "<|im_start|>assistant\n" } else { "" });
        Ok(text)
    }

    /// In the manner of Llama 2: the system message stands inside the first question.
    fn inside(turns: &[Turn<'_>], _: bool) -> Result<String, String> {
        let mut text = String::new();
        let mut system = String::new();
        for (role, content) in turns {
            match *role {
                "system" => system = format!("<<SYS>>{content}<</SYS>>"),
                "user" => text.push_str(&format!("[INST] {}{content} [/INST]", std::mem::take(&mut system))),
                _ => text.push_str(&format!(" {content} </s>")),
            }
        }
        Ok(text)
    }

    #[test]
    fn pieces_are_found() {
        let turns = Turns::of(&chatml, Some("<s>")).expect("pieces");
        assert_eq!(turns.begin, "<s>");
        assert_eq!(turns.without_system, "<|im_start|>system\nBe kind.<|im_end|>\n");
        assert_eq!(turns.system, Some(("<|im_start|>system\n".to_owned(), "<|im_end|>\n".to_owned())));
        assert_eq!(turns.user, ("<|im_start|>user\n".to_owned(), "<|im_end|>\n".to_owned()));
        assert_eq!(turns.generation, "<|im_start|>assistant\n");
        let without = Turns::of(&chatml, None).expect("pieces");
        assert!(without.begin.is_empty() && without.without_system.starts_with("<s>"));
    }

    #[test]
    fn white_space_that_a_template_takes_off_is_known() {
        assert!(!Turns::of(&chatml, None).expect("pieces").trims);
        for role in ["system", "user", "assistant"] {
            let trimming = |turns: &[Turn<'_>], asks: bool| {
                let turns = turns.iter();
                let turns = turns.map(|&(own, text)| (own, if own == role { text.trim() } else { text }));
                chatml(&turns.collect::<Vec<_>>(), asks)
            };
            assert!(Turns::of(&trimming, None).expect("pieces").trims, "{role}");
        }
        let changing = |turns: &[Turn<'_>], asks: bool| {
            let is_spaced = turns.iter().any(|(_, text)| text.starts_with(' '));
            Ok(chatml(turns, asks)? + if is_spaced { "!" } else { "" })
        };
        assert!(Turns::of(&changing, None).is_err());
    }

    #[test]
    fn a_template_of_other_kinds_is_refused_or_goes_without_what_it_lacks() {
        let refused = Turns::of(&inside, None).expect_err("the system message stands elsewhere");
        assert!(refused.contains("begins otherwise"), "{refused}");
        let alternating = |turns: &[Turn<'_>], asks: bool| match turns[0].0 {
            "system" => Err("roles must alternate".to_owned()),
            _ => chatml(turns, asks),
        };
        assert_eq!(Turns::of(&alternating, None).expect("pieces").system, None);
        let counting =
            |turns: &[Turn<'_>], asks: bool| Ok(format!("{} {}", turns.len(), chatml(turns, asks)?));
        assert!(Turns::of(&counting, None).is_err());
    }
}
