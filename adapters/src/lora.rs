//! LoRA (Hu et al., arXiv 2106.09685): which linears are adapted, and how.

use std::ops::Range;

use regex::Regex;
use rtune_kernels::gemm::{Mat, Term};
use rtune_kernels::noise;
use rtune_kernels::real::Real;

use crate::merge::dense;
use crate::targets::Chooser;
use crate::{AdapterError, Linear, Parameters, Targets, Weight};

/// Largest rank. Above the width of the largest models' narrow side an adapter is no smaller than the weight.
pub const MAX_RANK: usize = 4096;

/// Behind the name of a linear: DoRA's magnitudes, as PEFT writes them.
pub const MAGNITUDE_SUFFIX: &str = ".lora_magnitude_vector";

/// How an adapter's output is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// `alpha / rank`.
    Standard,
    /// `alpha / sqrt(rank)` (rsLoRA, arXiv 2312.03732).
    RankStabilized,
}

/// What PEFT calls `LoraConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank `r`.
    pub rank: usize,
    /// `lora_alpha`.
    pub alpha: f64,
    /// How the scale follows from rank and alpha.
    pub scaling: Scaling,
    /// Which linears.
    pub targets: Targets,
    /// The blocks whose linears are adapted, in order; `None` for all.
    pub layers: Option<Vec<usize>>,
    /// Ranks of linears whose name matches, `(.*\.)?(pattern)$` as in PEFT; the first match counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// Alphas of linears whose name matches, likewise.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Whether the rows of the sum have a length that is trained (DoRA, arXiv 2402.09353).
    pub dora: bool,
    /// Probability that an element of `A`'s input is left out while training.
    pub dropout: f64,
    /// How `A` and `B` begin.
    pub start: Start,
    /// What of the base is trained beside the adapters.
    pub alongside: Alongside,
}

/// How `A` and `B` begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// `A` drawn, `B` zero: the model begins as its base.
    #[default]
    Drawn,
    /// The largest singular values of the weight and their vectors, which are taken off the base before it is quantised
    /// (PiSSA, arXiv 2404.02948).
    Pissa,
    /// Those of what quantising the base took from it (LoftQ, arXiv 2310.08659, once through, as PEFT does by default).
    Loftq,
}

impl Start {
    /// Whether something is taken off the base before it is quantised.
    #[must_use]
    pub fn changes_base(self) -> bool {
        self == Self::Pissa
    }
}

/// What of the base is trained beside the adapters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alongside {
    /// Which biases.
    pub biases: Biases,
    /// Whole tensors: those of modules whose name is, or ends with a dot and, one of these. PEFT calls them
    /// `modules_to_save`.
    pub modules: Vec<String>,
    /// Rows of the embedding by token id, in order.
    pub tokens: Vec<u32>,
    /// Whether the rows of a head that is not the embedding are trained too.
    pub of_head: bool,
}

/// Which biases are trained, as PEFT's `bias`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Biases {
    /// None.
    #[default]
    None,
    /// Those of adapted linears.
    Adapted,
    /// All, those of norms among them.
    All,
}

impl LoraConfig {
    /// LoRA on all linears, each of this rank and alpha, and nothing else.
    #[must_use]
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            scaling: Scaling::Standard,
            targets: Targets::AllLinear,
            layers: None,
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            dora: false,
            dropout: 0.0,
            start: Start::Drawn,
            alongside: Alongside::default(),
        }
    }

    /// Rank and scale of the linear called `name`.
    ///
    /// # Errors
    /// If a pattern is no regular expression, or the rank is 0 or above [`MAX_RANK`], or alpha is not above 0.
    pub fn of(&self, name: &str) -> Result<(usize, f64), AdapterError> {
        let (rank, alpha) = self.rank_and_alpha(name)?;
        let divisor = match self.scaling {
            Scaling::Standard => rank as f64,
            Scaling::RankStabilized => (rank as f64).sqrt(),
        };
        Ok((rank, alpha / divisor))
    }

    /// Rank and alpha of the linear called `name`, after the patterns.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn rank_and_alpha(&self, name: &str) -> Result<(usize, f64), AdapterError> {
        let rank = find(&self.rank_pattern, name)?.unwrap_or(self.rank);
        let alpha = find(&self.alpha_pattern, name)?.unwrap_or(self.alpha);
        if rank == 0 || rank > MAX_RANK {
            return Err(AdapterError::Config(format!(
                "rank of `{name}`: expected 1 to {MAX_RANK}, found {rank}"
            )));
        }
        if !(alpha.is_finite() && alpha > 0.0) {
            return Err(AdapterError::Config(format!(
                "alpha of `{name}`: expected a number above 0, found {alpha}"
            )));
        }
        Ok((rank, alpha))
    }

    /// The ranks that [`attach`] would give to linears of these names, in order; `None` for one that it leaves as it is. A
    /// linear comes with whether it is adapted only where it is asked for by its name.
    ///
    /// # Errors
    /// Those of [`attach`].
    pub fn ranks<'a>(
        &self,
        linears: impl IntoIterator<Item = (&'a str, bool)>,
    ) -> Result<Vec<Option<usize>>, AdapterError> {
        let chooser = Chooser::new(self)?;
        let (mut names, mut ranks) = (Vec::new(), Vec::new());
        for (name, only_by_name) in linears {
            names.push(name.to_owned());
            let wanted = chooser.wants(name, only_by_name);
            ranks.push(wanted.then(|| self.of(name)).transpose()?.map(|(rank, _)| rank));
        }
        chooser.check(&names, ranks.iter().flatten().count())?;
        Ok(ranks)
    }
}

fn find<T: Copy>(patterns: &[(String, T)], name: &str) -> Result<Option<T>, AdapterError> {
    for (pattern, value) in patterns {
        if let Some(matches) = matches_plainly(pattern, name) {
            if matches {
                return Ok(Some(*value));
            }
            continue;
        }
        let whole = Regex::new(&format!(r"^(.*\.)?({pattern})$")).map_err(|e| {
            AdapterError::Config(format!("pattern `{pattern}` is no regular expression: {e}"))
        })?;
        if whole.is_match(name) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// What the regular expression says, where the pattern is a plain name, in which a dot stands for any character: PEFT
/// writes one per linear for some initialisations, and compiling each for each linear takes seconds.
fn matches_plainly(pattern: &str, name: &str) -> Option<bool> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    if !pattern.bytes().chain(name.bytes()).all(plain) {
        return None;
    }
    let Some(start) = name.len().checked_sub(pattern.len()) else { return Some(false) };
    let (before, rest) = name.as_bytes().split_at(start);
    let equal = rest.iter().zip(pattern.as_bytes()).all(|(byte, wanted)| *wanted == b'.' || byte == wanted);
    Some(equal && before.last().is_none_or(|byte| *byte == b'.'))
}

/// The place of one adapter in the flat vector of parameters.
#[derive(Clone, Debug)]
pub struct Lora {
    /// `A`, `[rank, in]`.
    pub a: Range<usize>,
    /// `B`, `[out, rank]`.
    pub b: Range<usize>,
    /// Rank.
    pub rank: usize,
    /// Factor on `B A x`.
    pub scale: f64,
    /// Probability that an element of `A`'s input is left out while training.
    pub dropout: f64,
    /// What tells its draws from those of others.
    pub stream: u64,
    /// What DoRA has besides.
    pub magnitude: Option<Magnitude>,
}

impl Lora {
    /// `scale · p Bᵀ`, where `p_tr` is `x Aᵀ`.
    pub(crate) fn term<'a, R: Real>(
        &self,
        parameters: &'a [R],
        p_tr: &'a [R],
        outputs: usize,
    ) -> Term<'a, R> {
        let b = Mat::new(&parameters[self.b.clone()], outputs, self.rank);
        Term::plain(R::of(self.scale), Mat::new(p_tr, p_tr.len() / self.rank, self.rank), b.t())
    }
}

/// The lengths that DoRA gives to the rows of a weight and its adapter.
#[derive(Clone, Debug)]
pub struct Magnitude {
    /// Their place in the flat vector, `[out]`.
    pub range: Range<usize>,
    /// The squared lengths of the rows of the frozen weight.
    pub weight_squares: Vec<f64>,
}

/// The squared lengths of a weight's rows.
fn row_squares(weight: &Weight) -> Vec<f64> {
    let values = dense(weight);
    values.chunks(weight.columns()).map(|row| row.iter().map(|&v| f64::from(v).powi(2)).sum()).collect()
}

/// Puts adapters beside the wanted `linears` and gives their parameters, `A` before `B` in the order of the linears, all
/// zero; behind them DoRA's magnitudes, which begin as the lengths of the weight's rows.
///
/// # Errors
/// If a target or a layer leads to no linear, no linear is wanted, or [`LoraConfig::of`] fails.
pub fn attach<'a, R: Real>(
    linears: impl IntoIterator<Item = &'a mut Linear>,
    config: &LoraConfig,
) -> Result<Parameters<R>, AdapterError> {
    let mut parameters = Parameters::new();
    let chooser = Chooser::new(config)?;
    let (mut names, mut adapted) = (Vec::new(), 0);
    for linear in linears {
        names.push(linear.name().to_owned());
        linear.freeze();
        if !chooser.wants(linear.name(), linear.is_only_by_name()) {
            continue;
        }
        let (rank, scale) = config.of(linear.name())?;
        let (inputs, outputs) = (linear.in_features(), linear.out_features());
        let a = parameters.push(format!("{}.lora_A.weight", linear.name()), vec![rank, inputs]);
        let b = parameters.push(format!("{}.lora_B.weight", linear.name()), vec![outputs, rank]);
        let magnitude = config.dora.then(|| {
            let weight_squares = row_squares(linear.weight());
            let range = parameters.push(format!("{}{MAGNITUDE_SUFFIX}", linear.name()), vec![outputs]);
            for (place, &square) in parameters.flat_mut()[range.clone()].iter_mut().zip(&weight_squares) {
                *place = R::of(square.sqrt());
            }
            Magnitude { range, weight_squares }
        });
        let stream = noise::stream_of(linear.name());
        adapted += 1;
        linear.lora = Some(Lora { a, b, rank, scale, dropout: config.dropout, stream, magnitude });
    }
    chooser.check(&names, adapted)?;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LoraConfig {
        LoraConfig {
            rank_pattern: vec![("q_proj".into(), 2), (r"layers\.1\.mlp.*".into(), 7)],
            alpha_pattern: vec![("v_proj".into(), 3.0)],
            ..LoraConfig::new(4, 8.0)
        }
    }

    #[test]
    fn patterns_match_as_in_peft() {
        let c = config();
        assert_eq!(c.of("model.layers.0.self_attn.q_proj").expect("q"), (2, 4.0));
        assert_eq!(c.of("model.layers.1.mlp.down_proj").expect("down"), (7, 8.0 / 7.0));
        assert_eq!(c.of("model.layers.0.self_attn.v_proj").expect("v"), (4, 0.75));
        assert_eq!(c.of("model.layers.0.self_attn.faq_proj").expect("other"), (4, 2.0));
        let stable = LoraConfig { scaling: Scaling::RankStabilized, ..config() };
        assert_eq!(stable.of("x.o_proj").expect("o"), (4, 4.0));
    }

    #[test]
    fn plain_patterns_match_as_the_regular_expression_does() {
        let names =
            ["q_proj", "a.q_proj", "a.faq_proj", "a.b.q_proj", "q_proj.a", "a.q.proj", ".q_proj", "a..q", ""];
        let patterns =
            ["q_proj", "b.q_proj", "a.q_proj", "q.proj", ".q_proj", ".", "", "a.", "..", "a.b.q_proj.c"];
        for pattern in patterns {
            let regex = Regex::new(&format!(r"^(.*\.)?({pattern})$")).expect("a regular expression");
            for name in names {
                assert_eq!(
                    matches_plainly(pattern, name),
                    Some(regex.is_match(name)),
                    "`{pattern}` on `{name}`"
                );
            }
        }
        assert_eq!(matches_plainly("q_proj|v_proj", "q_proj"), None);
        assert_eq!(matches_plainly("q_proj", "ä.q_proj"), None);
    }

    #[test]
    fn a_target_that_names_nothing_is_refused_with_the_names_there_are() {
        let mut linears = [Linear::new("m.q_proj".into(), Weight::from_f32(3, 2, vec![0.0; 6]), None)];
        let wanted =
            LoraConfig { targets: Targets::Names(vec!["q_proj".into(), "c_attn".into()]), ..config() };
        let error = attach::<f32>(&mut linears, &wanted).expect_err("refused");
        assert_eq!(error.to_string(), "no linear layer of the model is called `c_attn`");
        assert!(error.hint().expect("a hint").starts_with("the model has q_proj;"));
        let half = LoraConfig { targets: Targets::Names(vec!["proj".into()]), ..config() };
        assert!(attach::<f32>(&mut linears, &half).is_err(), "a name is matched by whole parts");
    }
}
