//! Settings of an adapter whose base sees besides, with the names of a text model.

use super::A_SUFFIX;
use super::tensors::Found;
use crate::targets::is_called;
use crate::{AdapterError, LoraConfig};

/// Patterns were written for the names in the file, so each linear that has another rank or alpha comes before them. A module that is
/// trained whole is named as it is called here; those of parts that see alone are left out.
pub(super) fn of_text_model(mut config: LoraConfig, found: &Found) -> Result<LoraConfig, AdapterError> {
    let (mut ranks, mut alphas) = (Vec::new(), Vec::new());
    for (name, in_file) in &found.elsewhere {
        let halves = [name, in_file].map(|name| name.strip_suffix(A_SUFFIX));
        let [Some(linear), Some(in_file)] = halves else { continue };
        let (rank, alpha) = config.rank_and_alpha(in_file)?;
        ranks.push((linear.to_owned(), rank));
        alphas.push((linear.to_owned(), alpha));
    }
    if !config.rank_pattern.is_empty() {
        config.rank_pattern.splice(0..0, ranks);
    }
    if !config.alpha_pattern.is_empty() {
        config.alpha_pattern.splice(0..0, alphas);
    }
    let wanted = std::mem::take(&mut config.alongside.modules);
    config.alongside.modules = wanted.into_iter().flat_map(|wanted| here(wanted, found)).collect();
    Ok(config)
}

/// What a module of `modules_to_save` is called in a text model.
fn here(wanted: String, found: &Found) -> Vec<String> {
    let module = |name: &str| name.rsplit_once('.').map(|(module, _)| module.to_owned()).unwrap_or_default();
    if found.tensors.keys().any(|name| is_called(&module(name), &wanted)) {
        return vec![wanted];
    }
    let in_file = found.elsewhere.iter().filter(|(_, in_file)| is_called(&module(in_file), &wanted));
    let mut names: Vec<String> = in_file.map(|(name, _)| module(name)).collect();
    names.dedup();
    // A tower is named whole, and its tensors stand below.
    let part = format!(".{wanted}.");
    if names.is_empty() && !found.left_out.iter().any(|name| format!(".{name}").contains(&part)) {
        names.push(wanted);
    }
    names
}
