//! `doctor`: how the store is, and mending it when told to.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use homing::{Checkup, Options};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::{Common, DoctorArgs};
use crate::exit::{Exit, Failure};
use crate::output::Out;

#[derive(Serialize)]
struct FindingLine<'a> {
    code: &'a str,
    text: &'a str,
    mend: &'a str,
}

#[derive(Serialize)]
struct IncidentLine<'a> {
    at: i64,
    kind: &'a str,
    detail: &'a str,
}

/// Bytes.
#[derive(Serialize)]
struct SizesLine {
    database: u64,
    log: u64,
    others: u64,
    free_pages: u64,
    disk_free: Option<u64>,
}

#[derive(Serialize)]
struct DoctorLine<'a> {
    ok: bool,
    driven: bool,
    schema_version: Option<u32>,
    findings: Vec<FindingLine<'a>>,
    sizes: SizesLine,
    incidents: Vec<IncidentLine<'a>>,
    set_aside: &'a [String],
    repaired: &'a [String],
}

impl<'a> DoctorLine<'a> {
    fn new(checkup: &'a Checkup, repaired: &'a [String], store: &Path) -> Self {
        let sizes = checkup.sizes;
        Self {
            ok: checkup.findings.is_empty(),
            driven: checkup.driven,
            schema_version: checkup.schema_version,
            findings: checkup
                .findings
                .iter()
                .map(|found| FindingLine { code: found.code, text: &found.text, mend: &found.mend })
                .collect(),
            sizes: SizesLine {
                database: sizes.database,
                log: sizes.log,
                others: sizes.others,
                free_pages: sizes.free_pages,
                disk_free: disk_free(store),
            },
            incidents: checkup
                .incidents
                .iter()
                .map(|found| IncidentLine { at: found.at_ms, kind: &found.kind, detail: &found.detail })
                .collect(),
            set_aside: &checkup.set_aside,
            repaired,
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self.repaired.iter().map(|done| format!("repaired: {done}")).collect();
        for found in &self.findings {
            lines.push(format!("{}: {}\n  what to do: {}", found.code, found.text, found.mend));
        }
        if self.ok {
            lines.push("all is well".to_owned());
        }
        let SizesLine { database, log, others, free_pages, disk_free } = self.sizes;
        let free = disk_free.map_or(String::new(), |free| format!("; {free} bytes free on the disk"));
        lines.push(format!(
            "sizes: database {database} bytes ({free_pages} of them unused), log {log}, other files {others}{free}"
        ));
        let version = self.schema_version.map_or("not readable".to_owned(), |version| version.to_string());
        lines.push(format!("schema: {version}; driven: {}", if self.driven { "yes" } else { "no" }));
        for found in &self.incidents {
            let at = jiff::Timestamp::from_millisecond(found.at).map_or(found.at.to_string(), |at| at.to_string());
            lines.push(format!("incident: {at} {}: {}", found.kind, found.detail));
        }
        for name in self.set_aside {
            lines.push(format!("set aside: {name} (never deleted by itself; remove it when nothing in it is missed)"));
        }
        lines.join("\n")
    }
}

#[cfg(unix)]
fn disk_free(store: &Path) -> Option<u64> {
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn disk_free(_: &Path) -> Option<u64> {
    None
}

pub(crate) fn run(common: &Common, args: &DoctorArgs) -> Result<Exit, Failure> {
    let store = common.store_path()?;
    let progress = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner().with_message("reading the whole store");
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    });
    let looked = look(common, &store, args.repair);
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    let (repaired, checkup) = looked?;
    let line = DoctorLine::new(&checkup, &repaired, &store);
    let mut out = Out::default();
    if args.json { out.json(&line) } else { out.text(line.text()) }?;
    out.flush()?;
    Ok(if line.ok { Exit::Done } else { Exit::Failed })
}

fn look(common: &Common, store: &Path, repair: bool) -> Result<(Vec<String>, Checkup), Failure> {
    let repaired = match repair {
        true => {
            let mut options = Options::new(store);
            // For a store whose own cannot be read.
            options.client_id.clone_from(&common.client_id);
            Checkup::repair(&options)?
        }
        false => Vec::new(),
    };
    Ok((repaired, Checkup::run(store)?))
}
