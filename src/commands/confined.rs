//! `rtune confined`: not for people; the process in which a program of a model runs.

use crate::args::code::ConfinedArgs;
use crate::reporter::complain;

pub(crate) fn run(args: &ConfinedArgs) -> anyhow::Result<u8> {
    let error = rtune_sandbox::confine(&args.request);
    complain(error.problem());
    Ok(rtune_sandbox::NOT_CONFINED)
}
