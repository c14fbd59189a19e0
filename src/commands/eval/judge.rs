//! A judge behind an OpenAI-compatible endpoint: asked only where it is named, and never twice for the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::blocking::Client;
use rtune_metrics::judge::{
    Preference, Replies, Rubric, Scored, Shown, Verdict, preference_prompt, score_prompt, verdict,
};
use rtune_trainer::evaluate::golden::{Case, GoldenReport};
use rtune_trainer::files::{sha256_of, write_whole};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::judge::JudgeArgs;
use crate::failure::BadInput;
use crate::reporter::Work;

/// How often a reply that is not as it should be, or none, is asked for.
const TRIALS: usize = 3;
/// A judge that thinks is slow; one that is gone stays gone.
const WAIT: Duration = Duration::from_secs(300);
/// The reason is one or two sentences.
const MOST_TOKENS: u64 = 1024;

/// What a judge made of a golden set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct JudgeReport {
    /// Where it was asked.
    endpoint: String,
    model: String,
    rubric: String,
    /// Mean scores from 1 to 5 over the cases that were scored.
    base: Option<f64>,
    tuned: Option<f64>,
    /// Cases by verdict: base better, tuned better, as good, and those in which the order of the answers decided.
    base_better: usize,
    tuned_better: usize,
    ties: usize,
    by_order: usize,
    /// Questions without a usable reply.
    failed: usize,
    cases: Vec<JudgedCase>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct JudgedCase {
    id: String,
    base: Option<Scored>,
    tuned: Option<Scored>,
    /// `first` is the base.
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Asks the judge about every case.
pub(super) fn judge(judge: &Judge, report: &GoldenReport) -> JudgeReport {
    let mut work = Work::new("asking the judge");
    let mut cases = Vec::with_capacity(report.cases.len());
    for case in &report.cases {
        cases.push(judge.case(case));
        work.show(cases.len(), report.cases.len());
    }
    work.finish();
    let mean = |of: fn(&JudgedCase) -> Option<&Scored>| {
        let scores: Vec<f64> = cases.iter().filter_map(of).map(|scored| f64::from(scored.score)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let count = |wanted: Verdict| cases.iter().filter(|case| case.verdict == Some(wanted)).count();
    JudgeReport {
        endpoint: judge.endpoint.clone(),
        model: judge.model.clone(),
        rubric: judge.rubric.name.clone(),
        base: mean(|case| case.base.as_ref()),
        tuned: mean(|case| case.tuned.as_ref()),
        base_better: count(Verdict::First),
        tuned_better: count(Verdict::Second),
        ties: count(Verdict::Tie),
        by_order: count(Verdict::ByOrder),
        failed: cases.iter().map(|case| case.problems.len()).sum(),
        cases,
    }
}

impl JudgeReport {
    /// What it comes to, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mean = |score: Option<f64>| score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        let mut lines = vec![format!(
            "judge {} by the rubric {}: base {} of 5, tuned {} of 5",
            self.model,
            self.rubric,
            mean(self.base),
            mean(self.tuned)
        )];
        if self.tuned.is_some() {
            lines.push(format!(
                "asked in both orders: tuned better in {}, base in {}, as good in {}; in {} the order decided",
                self.tuned_better, self.base_better, self.ties, self.by_order
            ));
        }
        if self.failed > 0 {
            lines.push(format!("the judge gave no usable reply to {} questions", self.failed));
        }
        lines
    }

    /// What it goes by beside metrics.
    pub(super) fn name(&self) -> String {
        format!("judge {} ({})", self.model, self.rubric)
    }

    /// Its scores of base and tuned answer, case by case.
    pub(super) fn scores(&self) -> Vec<[Option<f64>; 2]> {
        let of = |scored: &Option<Scored>| scored.as_ref().map(|scored| f64::from(scored.score));
        self.cases.iter().map(|case| [of(&case.base), of(&case.tuned)]).collect()
    }
}

/// A judge that was named.
pub(super) struct Judge {
    client: Client,
    endpoint: String,
    model: String,
    key: Option<String>,
    rubric: Rubric,
    replies: Replies,
    cache: PathBuf,
}

impl Judge {
    /// The judge of the flags, if there is one; nothing is asked yet.
    pub(super) fn named(args: &JudgeArgs, cache: &Path) -> anyhow::Result<Option<Self>> {
        let (Some(endpoint), Some(model)) = (&args.judge, &args.judge_model) else { return Ok(None) };
        let rubric = match Rubric::named(&args.judge_rubric) {
            Some(rubric) => rubric,
            None => {
                let text = std::fs::read_to_string(&args.judge_rubric).map_err(|error| {
                    let problem = format!("`{}` is no rubric: {error}", args.judge_rubric);
                    BadInput::new(problem)
                        .with_hint("name support, summary, or a text file with the criteria")
                })?;
                Rubric { name: args.judge_rubric.clone(), text: text.trim().to_owned() }
            }
        };
        let key = args.judge_key_file.as_deref().map(|file| {
            std::fs::read_to_string(file)
                .map(|key| key.trim().to_owned())
                .map_err(|error| BadInput::new(format!("`{}`: {error}", file.display())))
        });
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let hint = "such as http://localhost:8080/v1";
            return Err(BadInput::new(format!("`{endpoint}` is no address of a judge"))
                .with_hint(hint)
                .into());
        }
        // The key is for this endpoint, and for no other that it may point to.
        let client = Client::builder().timeout(WAIT).redirect(reqwest::redirect::Policy::none()).build()?;
        let replies = Replies::new().context("the judge's schemas")?;
        std::fs::create_dir_all(cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
        let (key, cache) = (key.transpose()?, cache.to_owned());
        let (endpoint, model) = (endpoint.trim_end_matches('/').to_owned(), model.clone());
        Ok(Some(Self { client, endpoint, model, key, rubric, replies, cache }))
    }

    fn case(&self, case: &Case) -> JudgedCase {
        let asked: Vec<(&str, &str)> =
            case.prompt.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
        let context: Vec<&str> = case.context.iter().map(String::as_str).collect();
        let reference = case.expected.first().map_or("", String::as_str);
        let shown = Shown { asked: &asked, context: &context, reference };
        let mut judged = JudgedCase { id: case.id.clone(), ..JudgedCase::default() };
        let score = |answer: &str, problems: &mut Vec<String>| {
            let prompt = score_prompt(&self.rubric, &shown, answer);
            self.ask(&prompt, |reply| self.replies.score(reply))
                .map_err(|problem| problems.push(problem))
                .ok()
        };
        judged.base = score(&case.base.answer, &mut judged.problems);
        if let Some(tuned) = &case.tuned {
            judged.tuned = score(&tuned.answer, &mut judged.problems);
            let mut prefer = |first: &str, second: &str| -> Option<Preference> {
                if first == second {
                    return Some(Preference::Tie);
                }
                let prompt = preference_prompt(&self.rubric, &shown, first, second);
                let found = self.ask(&prompt, |reply| self.replies.preference(reply));
                found.map_err(|problem| judged.problems.push(problem)).ok()
            };
            let shown = prefer(&case.base.answer, &tuned.answer);
            let exchanged = prefer(&tuned.answer, &case.base.answer);
            judged.verdict = shown.zip(exchanged).map(|(shown, exchanged)| verdict(shown, exchanged));
        }
        judged
    }

    /// A reply that can be read: from the cache, or from the judge.
    fn ask<T>(&self, prompt: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        let body = json!({
            "model": self.model,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
            "messages": [{"role": "user", "content": prompt}],
        })
        .to_string();
        let name = sha256_of(format!("{}\n{body}", self.endpoint).as_bytes());
        let kept = self.cache.join(format!("{name}.txt"));
        if let Some(known) = std::fs::read_to_string(&kept).ok().and_then(|reply| read(&reply).ok()) {
            return Ok(known);
        }
        let mut problem = String::new();
        for _ in 0..TRIALS {
            match self.reply(&body).and_then(|reply| Ok((read(&reply)?, reply))) {
                Ok((value, reply)) => {
                    // Without a cache the judge is asked again; nothing is lost.
                    let _ = write_whole(&kept, reply.as_bytes());
                    return Ok(value);
                }
                Err(found) => problem = found,
            }
        }
        Err(problem)
    }

    fn reply(&self, body: &str) -> Result<String, String> {
        let address = format!("{}/chat/completions", self.endpoint);
        let mut request =
            self.client.post(address).header("content-type", "application/json").body(body.to_owned());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        let text = answer.text().map_err(|error| error.without_url().to_string())?;
        if !status.is_success() {
            return Err(format!("the judge answered {status}"));
        }
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("the judge sent no JSON: {error}"))?;
        let content = value["choices"][0]["message"]["content"].as_str();
        content
            .map(str::to_owned)
            .ok_or_else(|| "the judge's reply has no choices[0].message.content".to_owned())
    }
}
