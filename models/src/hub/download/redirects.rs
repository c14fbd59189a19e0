//! Which redirections are followed where a token goes along.

use reqwest::redirect::{Attempt, Policy};

/// As many as reqwest follows by itself.
const MAX_REDIRECTIONS: usize = 10;

/// Follows to wherever the token does not go: only the server that is asked first is to see it.
///
/// reqwest leaves it out where an address is of another server than the one before, and only there: a second address of the same other
/// server would get it again.
pub(super) fn with_token() -> Policy {
    Policy::custom(|attempt: Attempt<'_>| {
        let next = attempt.url().origin();
        let [first, last] = [attempt.previous().first(), attempt.previous().last()]
            .map(|address| address.is_some_and(|address| address.origin() == next));
        if last && !first {
            let next = next.ascii_serialization();
            return attempt.error(format!(
                "it redirects to {next}, which redirects once more, and would be told the token there; what is public comes without a \
                 token (HF_HUB_DISABLE_IMPLICIT_TOKEN=1)"
            ));
        }
        if attempt.previous().len() > MAX_REDIRECTIONS {
            return attempt.error(format!("more than {MAX_REDIRECTIONS} redirections"));
        }
        attempt.follow()
    })
}
