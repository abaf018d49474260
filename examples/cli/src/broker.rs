//! `homing broker`.

use crate::args::{BrokerArgs, Common};
use crate::exit::{Exit, Failure};

pub(crate) async fn run(_common: Common, _args: BrokerArgs) -> Result<Exit, Failure> {
    Err(Failure::failed("broker is not part of this build"))
}
