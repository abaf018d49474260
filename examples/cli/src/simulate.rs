//! `homing simulate`.

use crate::args::{Common, SimulateArgs};
use crate::exit::{Exit, Failure};

pub(crate) async fn run(_common: Common, _args: SimulateArgs) -> Result<Exit, Failure> {
    Err(Failure::failed("simulate is not part of this build"))
}
