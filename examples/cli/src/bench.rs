//! `homing bench`.

use crate::args::{BenchCommand, Common};
use crate::exit::{Exit, Failure};

pub(crate) async fn run(_common: Common, _args: BenchCommand) -> Result<Exit, Failure> {
    Err(Failure::failed("bench is not part of this build"))
}
