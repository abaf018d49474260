//! How a store is: looked at without driving it, and mended when told to (P10).

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::cipher::Unlock;
use super::codec::{int, read_size};
use super::damage::{self, set_aside_files};
use super::error::{StoreError, StoreErrorKind};
use super::lock::{beside, is_driven};
use super::migrate::SCHEMA_VERSION;
use super::open::{StoreOptions, check_sqlite, confirm, is_new, locate, not_a_store, recognise};
use super::reader::{Incident, read_incidents};
use super::session_row::read_hot;
use super::writer::write_hot;
use super::{Removed, Store};
use crate::model::error::OpenError;
use crate::model::rows::{Hot, join_id};

/// A log above this is longer than our own upkeep leaves it for long.
const LONG_LOG: u64 = 64 << 20;
/// Problems of the integrity check that are named.
const PROBLEMS: u32 = 20;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// What it is and what it means.
    pub text: String,
    /// What to do.
    pub mend: String,
}

/// Bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Sizes {
    /// The database file.
    pub database: u64,
    /// The write-ahead log.
    pub log: u64,
    /// All other files of this store, those set aside included.
    pub others: u64,
    /// Inside the database and unused; `repair` gives it back.
    pub free_pages: u64,
}

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checkup {
    /// Some client drives it right now.
    pub driven: bool,
    /// None: not readable.
    pub schema_version: Option<u32>,
    /// Bytes on the disk.
    pub sizes: Sizes,
    /// What is wrong; empty: all is well.
    pub findings: Vec<Finding>,
    /// What befell the store's file so far.
    pub incidents: Vec<Incident>,
    /// Names of damaged files that were set aside.
    pub set_aside: Vec<String>,
}

impl Checkup {
    /// Looks at a store without driving it, beside a driver too; reads all of it, which takes seconds for gigabytes.
    ///
    /// ```
    /// # use homing::{Homing, Options};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("home.db");
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let mut options = Options::new(&path);
    /// # options.connect = false;
    /// let client = Homing::open(options).await?;
    /// let checkup = homing::Checkup::run(&path)?;
    /// assert!(checkup.findings.is_empty() && checkup.driven);
    /// # client.close(std::time::Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OpenError`] if there is no such file, it is not a store, or it cannot be read right now. Damage is a finding.
    pub fn run(store: &Path) -> Result<Self, OpenError> {
        check_sqlite(store)?;
        let path = locate(store, false)?;
        let mut checkup = Checkup { driven: is_driven(&path), ..Checkup::default() };
        let corrupt = "close the client and run `homing doctor --repair`: the file is set aside under another name, and what can \
                       be read of it goes into a new store";
        let opened = match is_new(&path)? {
            true if damage::is_emptied(&path) => {
                Err(OpenError::StoreCorrupt { path: path.clone(), detail: "its file is empty".to_owned() })
            }
            true => return Err(not_a_store(&path, "an empty file")),
            false => match recognise(&path, &Unlock::default()) {
                Err(OpenError::NotAStore { what, .. }) if damage::was_ours(&path) => {
                    Err(OpenError::StoreCorrupt { path: path.clone(), detail: what })
                }
                known => known.and_then(|()| look(&path, &mut checkup)),
            },
        };
        match opened {
            Ok(()) => {}
            Err(OpenError::StoreCorrupt { detail, .. }) => {
                checkup.found("corrupt", format!("the file is damaged: {detail}"), corrupt)
            }
            Err(error) => return Err(error),
        }
        sizes(&path, &mut checkup);
        Ok(checkup)
    }

    fn found(&mut self, code: &'static str, text: impl Into<String>, mend: &str) {
        self.findings.push(Finding { code, text: text.into(), mend: mend.to_owned() });
    }
}

fn look(path: &Path, checkup: &mut Checkup) -> Result<(), OpenError> {
    let at = |error: StoreError| error.at_open(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| at(error.into()))?;
    let prepared = connection.busy_timeout(std::time::Duration::from_secs(2)).and_then(|()| {
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;")
    });
    prepared.map_err(|error| at(error.into()))?;
    let version = confirm(&connection, path)?;
    checkup.schema_version = Some(version);
    if version < SCHEMA_VERSION {
        checkup.found(
            "schema_old",
            format!("schema {version}, this version writes {SCHEMA_VERSION}; counters and incidents are not looked at"),
            "a client that opens it brings it up to date",
        );
    }
    let counted = inspect(&connection, version == SCHEMA_VERSION, checkup);
    counted.map_err(at)
}

fn inspect(connection: &Connection, current: bool, checkup: &mut Checkup) -> Result<(), StoreError> {
    let problems: Vec<String> = {
        let mut statement = connection.prepare(&format!("PRAGMA quick_check({PROBLEMS})"))?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    if problems != ["ok"] {
        return Err(StoreError::new(StoreErrorKind::Corrupt, problems.join("; ")));
    }
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    checkup.sizes.free_pages = (pragma("freelist_count")? * pragma("page_size")?).cast_unsigned();
    if !current {
        return Ok(());
    }
    // One moment for rows and counters: a driver may write meanwhile.
    let moment = connection.unchecked_transaction()?;
    let (hot, counted) = (read_hot(&moment)?, counted(&moment)?);
    checkup.incidents = read_incidents(&moment)?;
    moment.commit()?;
    let mut right = hot;
    counted.put_into(&mut right);
    if right != hot {
        checkup.found(
            "counters",
            format!(
                "the counters do not agree with the rows: {}; limits and depths are wrong by it",
                differences(&hot, &right)
            ),
            "close the client and run `homing doctor --repair`: the rows are counted anew",
        );
    }
    Ok(())
}

fn differences(hot: &Hot, right: &Hot) -> String {
    let all = [
        ("normal lane", hot.lanes[0].messages, right.lanes[0].messages),
        ("normal lane's bytes", hot.lanes[0].bytes, right.lanes[0].bytes),
        ("urgent lane", hot.lanes[1].messages, right.lanes[1].messages),
        ("urgent lane's bytes", hot.lanes[1].bytes, right.lanes[1].bytes),
        ("parked", hot.parked_messages, right.parked_messages),
        ("parked bytes", hot.parked_bytes, right.parked_bytes),
        ("inbox", hot.inbox_messages, right.inbox_messages),
        ("inbox's bytes", hot.inbox_bytes, right.inbox_bytes),
    ];
    let unlike = all.into_iter().filter(|(_, said, counted)| said != counted);
    unlike.map(|(what, said, counted)| format!("{what} {said}, counted {counted}")).collect::<Vec<_>>().join(", ")
}

fn sizes(path: &Path, checkup: &mut Checkup) {
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    checkup.sizes.database = length(path);
    checkup.sizes.log = length(&beside(path, "-wal"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(Ok(entries)) = path.parent().map(fs::read_dir) {
        let ours = entries.flatten().filter(|entry| {
            let found = entry.file_name().to_string_lossy().into_owned();
            found.strip_prefix(&name).is_some_and(|rest| rest.starts_with('-') && rest != "-wal")
        });
        checkup.sizes.others = ours.map(|entry| length(&entry.path())).sum();
    }
    let name = |path: &std::path::PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    checkup.set_aside = set_aside_files(path).iter().map(name).collect();
    if checkup.sizes.log > LONG_LOG {
        let text = format!(
            "the log is {} MiB long: some reader holds it, or the last client was killed",
            checkup.sizes.log >> 20
        );
        checkup.found("long_log", text, "close other programs that read the store; the next client empties it");
    }
}

/// Rows as they are, for the counters.
#[derive(Debug, Default)]
pub(super) struct Counted {
    lanes: [Removed; 2],
    parked: Removed,
    inbox: Removed,
}

impl Counted {
    pub(super) fn put_into(&self, hot: &mut Hot) {
        for (counters, counted) in hot.lanes.iter_mut().zip(&self.lanes) {
            (counters.messages, counters.bytes) = (counted.messages, counted.bytes);
        }
        (hot.parked_messages, hot.parked_bytes) = (self.parked.messages, self.parked.bytes);
        (hot.inbox_messages, hot.inbox_bytes) = (self.inbox.messages, self.inbox.bytes);
    }
}

pub(super) fn counted(connection: &Connection) -> Result<Counted, StoreError> {
    let sum = |sql: &str, bounds: [i64; 2]| -> Result<Removed, StoreError> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(bounds)?;
        let mut sum = Removed::default();
        while let Some(row) = rows.next()? {
            (sum.messages, sum.bytes) = (sum.messages + 1, sum.bytes + read_size(row, 0, 1)?);
        }
        Ok(sum)
    };
    let queue = |table: &str, lane: [usize; 2]| {
        let sql = format!(
            "SELECT octet_length(topic) + octet_length(payload), props FROM {table} WHERE id >= ?1 AND id < ?2"
        );
        sum(&sql, lane.map(|lane| int(join_id(lane, 0))))
    };
    let inbox = "SELECT octet_length(name) + octet_length(payload), props
                 FROM inbox CROSS JOIN topic ON topic.tid = inbox.tid WHERE seq BETWEEN ?1 AND ?2";
    Ok(Counted {
        lanes: [queue("outbox", [0, 1])?, queue("outbox", [1, 2])?],
        parked: queue("parked", [0, 2])?,
        inbox: sum(inbox, [0, i64::MAX])?,
    })
}

/// Mends what can be mended, as the store's driver: a damaged file is set aside and saved from, the rows are counted anew,
/// unused room is given back. Says what was done.
///
/// # Errors
/// [`OpenError`]: `StoreInUse` beside a driver.
pub fn repair(options: &StoreOptions<'_>) -> Result<Vec<String>, OpenError> {
    let path = locate(options.path, false)?;
    let mut done = Vec::new();
    let before = Checkup::run(&path)?;
    if before.driven {
        return Err(OpenError::StoreInUse { path });
    }
    let corrupt = before.findings.iter().any(|finding| finding.code == "corrupt");
    if corrupt && let Some(aside) = damage::settle_damage(options, true)? {
        done.push(format!("set aside the damaged file as {}, saved {} rows", aside.name, aside.saved.rows()));
    }
    let mut store = Store::open(options)?;
    let recounted = store.recount().map_err(|error| error.at_open(&path))?;
    if recounted {
        done.push("counted the rows anew".to_owned());
    }
    store.vacuum_all().map_err(|error| error.at_open(&path))?;
    store.close().map_err(|error| error.at_open(&path))?;
    let after = fs::metadata(&path).map_or(0, |found| found.len());
    if before.sizes.free_pages > 0 {
        done.push(format!("gave unused room back: {} bytes before, {after} now", before.sizes.database));
    }
    Ok(done)
}

impl Store {
    /// In one transaction; whether anything was wrong.
    fn recount(&mut self) -> Result<bool, StoreError> {
        let turn = self.connection.unchecked_transaction()?;
        let mut hot = self.hot;
        counted(&turn)?.put_into(&mut hot);
        let wrong = hot != self.hot;
        if wrong {
            hot.turn += 1;
            write_hot(&turn, &hot)?;
            turn.commit()?;
            self.hot = hot;
        }
        Ok(wrong)
    }

    fn vacuum_all(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("VACUUM")?)
    }
}
