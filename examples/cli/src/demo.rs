//! `homing demo`.

use crate::args::{Common, DemoArgs};
use crate::exit::{Exit, Failure};

pub(crate) async fn run(_common: Common, _args: DemoArgs) -> Result<Exit, Failure> {
    Err(Failure::failed("demo is not part of this build"))
}
