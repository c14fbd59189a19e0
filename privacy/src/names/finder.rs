//! Names of persons and places: who finds them.

use crate::finding::Finding;

/// Something that finds names (and whatever else its labels say) in texts: usually a model.
pub trait NameFinder: Send + Sync {
    /// The findings of each of `texts`, in order; spans in bytes, at character boundaries.
    ///
    /// # Errors
    /// [`NameFinderError`] where the model cannot be run.
    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError>;

    /// What decides its findings, for caches and reports: a name with the hash of its weights.
    fn identity(&self) -> &str;
}

/// Why a finder of names failed.
#[derive(Debug, thiserror::Error)]
#[error("the finder of names failed: {reason}")]
pub struct NameFinderError {
    /// The cause, as the finder says it.
    pub reason: String,
}
