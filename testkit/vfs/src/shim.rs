//! The VFS itself: every call goes on to the system's VFS, and past the watched folder's state on the way.
//!
//! The one place with `unsafe`. SQLite gives each file `szOsFile` bytes: ours first, the system's right behind.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use rusqlite::ffi;

use crate::disk::{Event, Op, Shared, State, locked, watched};

const OK: c_int = ffi::SQLITE_OK;

/// The system's VFS.
static SYSTEM: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// A file of a watched folder, as SQLite holds it.
#[repr(C)]
struct File {
    methods: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    state: Shared,
    name: String,
    file: usize,
    /// The first sync of a journal syncs its folder as well, as the unix VFS does.
    syncs_folder: bool,
}

/// Registers the VFS as `homing-fault` and makes it the default, once a process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the system's VFS lives as long as the process, and so does ours, which is never freed. The methods that
        // are taken over from it do not look at which VFS they are called with; those that do are ours.
        unsafe {
            let system = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!system.is_null(), "SQLite has no VFS");
            SYSTEM.store(system, Ordering::Release);
            let ours = Box::leak(Box::new(ffi::sqlite3_vfs {
                szOsFile: size_of::<File>() as c_int + (*system).szOsFile,
                pNext: ptr::null_mut(),
                zName: c"homing-fault".as_ptr(),
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*system
            }));
            assert_eq!(ffi::sqlite3_vfs_register(ours, 1), OK, "the VFS cannot be registered");
        }
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // No memory mapping: what is written through it, nobody would see.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The system's part of a file.
///
/// # Safety
/// `file` must be one that `open` has filled.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` made room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// # Safety
/// `file` must be one that `open` has filled and `close` has not seen.
unsafe fn handle<'f>(file: *mut ffi::sqlite3_file) -> &'f mut Handle {
    // SAFETY: made by `open` from a box; SQLite uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

/// # Safety
/// As SQLite calls it: a name that is null or ends with NUL.
unsafe fn place(name: *const c_char) -> Option<(Shared, String)> {
    // SAFETY: see above.
    (!name.is_null())
        .then(|| unsafe { CStr::from_ptr(name) })
        .and_then(|name| watched(Path::new(OsStr::from_bytes(name.to_bytes()))))
}

/// Calls a method of the system's part; one that it does not have is an I/O error.
macro_rules! call {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        // SAFETY: SQLite calls with a file that `open` has filled and with arguments that it promises to be right.
        unsafe {
            let inner = inner($file);
            (*(*inner).pMethods).$method.map_or(ffi::SQLITE_IOERR, |method| method(inner $(, $arg)*))
        }
    }};
}

/// Methods that only go on.
macro_rules! forward {
    ($($name:ident: $method:ident($($arg:ident: $kind:ty),*);)*) => {
        $(unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $kind)*) -> c_int {
            call!(file, $method $(, $arg)*)
        })*
    };
}

forward! {
    read: xRead(data: *mut c_void, amount: c_int, offset: i64);
    file_size: xFileSize(size: *mut i64);
    lock: xLock(level: c_int);
    unlock: xUnlock(level: c_int);
    check_reserved_lock: xCheckReservedLock(result: *mut c_int);
    file_control: xFileControl(op: c_int, arg: *mut c_void);
    sector_size: xSectorSize();
    device_characteristics: xDeviceCharacteristics();
    shm_map: xShmMap(page: c_int, size: c_int, extend: c_int, result: *mut *mut c_void);
    shm_lock: xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap: xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as in `call!`.
    unsafe {
        let inner = inner(file);
        if let Some(barrier) = (*(*inner).pMethods).xShmBarrier {
            barrier(inner);
        }
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let system = SYSTEM.load(Ordering::Acquire);
    // SAFETY: SQLite gives a name it owns and `szOsFile` bytes for the file; the name goes on as it is, for the system's VFS
    // finds parameters behind it.
    unsafe {
        let Some(system_open) = (*system).xOpen else { return ffi::SQLITE_CANTOPEN };
        let Some((state, name_only)) = place(name) else { return system_open(system, name, file, flags, out_flags) };
        // SQLite closes a file that has methods, also after a failure.
        (*file).pMethods = ptr::null();
        locked(&state).counts.opens += 1;
        if let Some(trouble) = locked(&state).strikes(Op::Open) {
            return trouble.code(ffi::SQLITE_CANTOPEN);
        }
        let done = system_open(system, name, inner(file), flags, out_flags);
        if done != OK {
            return done;
        }
        let number = {
            let mut state = locked(&state);
            state.open += 1;
            let file = state.file(&name_only);
            state.look_for_strangers(&name_only, file);
            file
        };
        let journals = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        let syncs_folder = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journals != 0;
        let ours = file.cast::<File>();
        (*ours).handle = Box::into_raw(Box::new(Handle { state, name: name_only, file: number, syncs_folder }));
        (*ours).methods.pMethods = &METHODS;
        OK
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let done = call!(file, xClose);
    // SAFETY: made by `open`, and SQLite closes once.
    let handle = unsafe { Box::from_raw((*file.cast::<File>()).handle) };
    locked(&handle.state).open -= 1;
    done
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let system = SYSTEM.load(Ordering::Acquire);
    // SAFETY: as SQLite calls it.
    unsafe {
        let Some(system_delete) = (*system).xDelete else { return ffi::SQLITE_IOERR };
        let Some((state, name_only)) = place(name) else { return system_delete(system, name, sync_folder) };
        let mut state = locked(&state);
        state.counts.deletes += 1;
        let done = system_delete(system, name, 0);
        if done == OK {
            state.deleted(&name_only);
            if sync_folder != 0 {
                state.note(|| Event::SyncNames);
            }
        }
        done
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes at `data`, and a file of ours.
    let (bytes, Handle { state, name, file: number, .. }) =
        unsafe { (std::slice::from_raw_parts(data.cast::<u8>(), amount as usize), handle(file)) };
    let mut state = locked(state);
    state.counts.writes += 1;
    let trouble = state.strikes(Op::Write);
    let arrives = if trouble.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
    let done = call!(file, xWrite, arrives.as_ptr().cast(), arrives.len() as c_int, offset);
    if done == OK {
        state.note(|| Event::Write { file: *number, offset: offset as usize, data: arrives.to_vec() });
        state.stamp(name);
    }
    trouble.map_or(done, |trouble| trouble.code(ffi::SQLITE_IOERR_WRITE))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: a file of ours.
    let Handle { state, name, file: number, .. } = unsafe { handle(file) };
    let mut state = locked(state);
    state.counts.truncates += 1;
    let done = call!(file, xTruncate, size);
    if done == OK {
        state.note(|| Event::Truncate { file: *number, size: size as usize });
        state.stamp(name);
    }
    done
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: a file of ours.
    let Handle { state, name, file: number, syncs_folder } = unsafe { handle(file) };
    let mut state = locked(state);
    let State { counts, .. } = &mut *state;
    counts.syncs += 1;
    if let Some(trouble) = state.strikes(Op::Sync) {
        state.note(|| Event::SyncFailed { file: *number });
        state.spoiled(name);
        return trouble.code(ffi::SQLITE_IOERR_FSYNC);
    }
    state.note(|| Event::Sync { file: *number });
    if std::mem::take(syncs_folder) {
        state.note(|| Event::SyncNames);
    }
    OK
}
