//! Licences that models come under, and what each asks of who passes a tuned model on.
//!
//! In our own words and in short, for a first look: what binds is the licence's text.

/// What a licence asks.
#[derive(Debug, PartialEq, Eq)]
pub struct Duties {
    /// As the hub writes it.
    pub id: &'static str,
    /// Other names of the same.
    pub names: &'static [&'static str],
    /// Its name in full.
    pub title: &'static str,
    /// Whether a business may use the model.
    pub commercial: Commercial,
    /// What to do when a tuned model or its adapter is passed on, or served to others.
    pub duties: &'static [&'static str],
}

/// Whether a business may use a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commercial {
    /// Yes.
    Yes,
    /// Under a condition, which stands among the duties.
    Conditional,
    /// No.
    No,
}

impl Commercial {
    /// In a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "commercial use allowed",
            Self::Conditional => "commercial use under conditions",
            Self::No => "no commercial use",
        }
    }
}

/// What is known of a licence, by any of its names.
#[must_use]
pub fn known(id: &str) -> Option<&'static Duties> {
    let id = id.trim().to_ascii_lowercase();
    KNOWN.iter().find(|duties| duties.id == id || duties.names.contains(&id.as_str()))
}

const PASS_ON: &str = "Pass on a copy of the licence with the model.";
const KEEP_NOTICES: &str =
    "Keep copyright, patent, trademark and attribution notices, and the NOTICE file if there is one.";
const SAY_CHANGED: &str = "Say that the model was changed.";
const POLICY: &str = "Keep to the acceptable use policy, and pass its terms on to who gets the model.";
const RESTRICTIONS: &str =
    "Pass the use restrictions on in an agreement with everyone who gets the model or is served by it.";
const CREDIT: &str = "Name the makers, link to the licence, and say what was changed.";
const ALIKE: &str = "Pass the tuned model on under the same licence.";
const NOT_SOLD: &str = "Use the model, tuned or not, for no commercial purpose.";
const BUILT_WITH: &str = "Show \"Built with Llama\" (for Llama 3: \"Built with Meta Llama 3\") where the model or a product with it is offered.";
const NAMED: &str = "Begin the name of a tuned model with \"Llama\" (for Llama 3: \"Llama 3\").";
const LARGE: &str =
    "With more than 700 million users a month at the release of the base, ask Meta for a licence first.";
const META_NOTICE: &str = "Pass on a NOTICE file with Meta's copyright line for this licence.";
const QWEN_LARGE: &str = "With more than 100 million users a month, ask Alibaba Cloud for a licence first.";
const QWEN_NAMED: &str = "Say \"Built with Qwen\" or \"Improved using Qwen\" where a tuned model is offered.";

const fn of(
    id: &'static str,
    names: &'static [&'static str],
    title: &'static str,
    commercial: Commercial,
    duties: &'static [&'static str],
) -> Duties {
    Duties { id, names, title, commercial, duties }
}

use Commercial::{Conditional, No, Yes};

const OTHER_MODELS: &str = "Do not improve other language models with this one or its answers.";

const LLAMA: &[&str] = &[PASS_ON, BUILT_WITH, NAMED, META_NOTICE, LARGE, POLICY];
/// Llama 3.2's and 4's grant to models that see leaves out who lives or has their seat in the European Union.
const NOT_IN_EU: &str = "Of the models that see: in the European Union, the licence gives no right to them but as the user of a product.";
const LLAMA_NOT_IN_EU: &[&str] = &[PASS_ON, BUILT_WITH, NAMED, META_NOTICE, LARGE, POLICY, NOT_IN_EU];
/// The first agreement, of 2023.
const TONGYI_QIANWEN: &[&str] = &[PASS_ON, SAY_CHANGED, KEEP_NOTICES, OTHER_MODELS, QWEN_LARGE];
const QWEN: &[&str] = &[PASS_ON, SAY_CHANGED, QWEN_NAMED, QWEN_LARGE];
const RAIL: &[&str] = &[PASS_ON, RESTRICTIONS, SAY_CHANGED];
const KEEP_TEXT: &str = "Keep the copyright line and the text of the licence with the model.";
const COPYLEFT: &[&str] = &[ALIKE, PASS_ON, SAY_CHANGED];
const SHARE_ALIKE: &[&str] = &[CREDIT, ALIKE];
const NOT_SOLD_CREDIT: &[&str] = &[NOT_SOLD, CREDIT];
const NOT_SOLD_ALIKE: &[&str] = &[NOT_SOLD, CREDIT, ALIKE];
const NOT_SOLD_NOT_CHANGED: &[&str] =
    &[NOT_SOLD, CREDIT, "Pass no tuned model on: changed versions may not be shared."];
const NOT_SOLD_PASS_ON: &[&str] = &[NOT_SOLD, PASS_ON, SAY_CHANGED];
const FALCON: &[&str] = &[
    PASS_ON,
    SAY_CHANGED,
    POLICY,
    "Say where the tuned model is offered that it is built with Falcon technology of TII.",
];

/// All that are known. Versions of a licence are licences of their own.
pub const KNOWN: &[Duties] = &[
    of(
        "apache-2.0",
        &["apache 2.0", "apache2.0"],
        "Apache License 2.0",
        Yes,
        &[PASS_ON, KEEP_NOTICES, SAY_CHANGED],
    ),
    of("mit", &[], "MIT License", Yes, &[KEEP_TEXT]),
    of("bsd-2-clause", &[], "BSD 2-Clause License", Yes, &[KEEP_TEXT]),
    of(
        "bsd-3-clause",
        &[],
        "BSD 3-Clause License",
        Yes,
        &[KEEP_TEXT, "Do not use the makers' names to advertise the tuned model."],
    ),
    of("cc0-1.0", &[], "Creative Commons Zero 1.0", Yes, &[]),
    of("unlicense", &[], "The Unlicense", Yes, &[]),
    of("cc-by-3.0", &[], "Creative Commons Attribution 3.0", Yes, &[CREDIT]),
    of("cc-by-4.0", &[], "Creative Commons Attribution 4.0", Yes, &[CREDIT]),
    of("cc-by-sa-3.0", &[], "Creative Commons Attribution-ShareAlike 3.0", Yes, SHARE_ALIKE),
    of("cc-by-sa-4.0", &[], "Creative Commons Attribution-ShareAlike 4.0", Yes, SHARE_ALIKE),
    of("cc-by-nc-3.0", &[], "Creative Commons Attribution-NonCommercial 3.0", No, NOT_SOLD_CREDIT),
    of("cc-by-nc-4.0", &[], "Creative Commons Attribution-NonCommercial 4.0", No, NOT_SOLD_CREDIT),
    of(
        "cc-by-nc-sa-3.0",
        &[],
        "Creative Commons Attribution-NonCommercial-ShareAlike 3.0",
        No,
        NOT_SOLD_ALIKE,
    ),
    of(
        "cc-by-nc-sa-4.0",
        &[],
        "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
        No,
        NOT_SOLD_ALIKE,
    ),
    of(
        "cc-by-nc-nd-4.0",
        &[],
        "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
        No,
        NOT_SOLD_NOT_CHANGED,
    ),
    of(
        "llama2",
        &[],
        "Llama 2 Community License",
        Conditional,
        &[PASS_ON, META_NOTICE, OTHER_MODELS, LARGE, POLICY],
    ),
    of(
        "llama3",
        &[],
        "Meta Llama 3 Community License",
        Conditional,
        &[PASS_ON, BUILT_WITH, NAMED, META_NOTICE, OTHER_MODELS, LARGE, POLICY],
    ),
    of("llama3.1", &[], "Llama 3.1 Community License", Conditional, LLAMA),
    of("llama3.2", &[], "Llama 3.2 Community License", Conditional, LLAMA_NOT_IN_EU),
    of("llama3.3", &[], "Llama 3.3 Community License", Conditional, LLAMA),
    of("llama4", &[], "Llama 4 Community License", Conditional, LLAMA_NOT_IN_EU),
    of(
        "gemma",
        &[],
        "Gemma Terms of Use",
        Conditional,
        &[
            "Pass on a copy of the terms, and a notice that the model is under them.",
            SAY_CHANGED,
            RESTRICTIONS,
        ],
    ),
    of("qwen", &["qwen-license"], "Qwen License", Conditional, QWEN),
    of(
        "tongyi-qianwen",
        &["tongyi-qianwen-license-agreement"],
        "Tongyi Qianwen License",
        Conditional,
        TONGYI_QIANWEN,
    ),
    of(
        "qwen-research",
        &["tongyi-qianwen-research"],
        "Qwen Research License",
        No,
        &[NOT_SOLD, PASS_ON, SAY_CHANGED, QWEN_NAMED],
    ),
    of("openrail", &[], "OpenRAIL", Conditional, RAIL),
    of("openrail++", &[], "OpenRAIL++-M", Conditional, RAIL),
    of("creativeml-openrail-m", &[], "CreativeML OpenRAIL-M", Conditional, RAIL),
    of("bigscience-openrail-m", &[], "BigScience OpenRAIL-M", Conditional, RAIL),
    of("bigcode-openrail-m", &[], "BigCode OpenRAIL-M", Conditional, RAIL),
    of("bigscience-bloom-rail-1.0", &[], "BigScience BLOOM RAIL 1.0", Conditional, RAIL),
    of("falcon-llm-license", &["falcon-llm"], "TII Falcon License", Conditional, FALCON),
    of("falcon2-11b-tii", &[], "Falcon 2 11B TII License", Conditional, FALCON),
    of(
        "falcon-180b",
        &["falcon-180b-tii"],
        "Falcon 180B TII License",
        Conditional,
        &[
            PASS_ON,
            SAY_CHANGED,
            POLICY,
            "Offer no hosted use of the model, tuned or not, without TII's leave.",
        ],
    ),
    of("deepseek", &["deepseek-license"], "DeepSeek License", Conditional, RAIL),
    of(
        "mrl",
        &["mistral-research", "mistral-research-license"],
        "Mistral AI Research License",
        No,
        NOT_SOLD_PASS_ON,
    ),
    of("mnpl", &["mistral-ai-non-production"], "Mistral AI Non-Production License", No, NOT_SOLD_PASS_ON),
    of("gpl-2.0", &[], "GNU General Public License 2", Yes, COPYLEFT),
    of("gpl-3.0", &[], "GNU General Public License 3", Yes, COPYLEFT),
    of("lgpl-3.0", &[], "GNU Lesser General Public License 3", Yes, COPYLEFT),
    of(
        "agpl-3.0",
        &[],
        "GNU Affero General Public License 3",
        Yes,
        &[ALIKE, PASS_ON, SAY_CHANGED, "Offer the tuned model to who is served by it over a network, too."],
    ),
];
