//! Arithmetic of the room, without a disk.

use super::*;

#[test]
fn a_page_costs_its_place_in_the_log_and_in_the_database() {
    let room = |free, reusable, pages| Measure { free, reusable, pages }.room(MARGIN);
    assert_eq!(room(MARGIN - 1, 1 << 20, 1_000), 0, "what progress needs is not for rows");
    assert_eq!(room(MARGIN, 0, 1_000), 0);
    // Twice, unless the database has free pages, or the log has blocks.
    assert_eq!(room(MARGIN + 100 * (FRAME + PAGE), 0, 0), 100 * PAGE);
    assert_eq!(room(MARGIN + 100 * FRAME, 0, 100), 100 * PAGE);
    assert_eq!(room(MARGIN + 100 * PAGE, 100 * FRAME, 0), 100 * PAGE);
    assert_eq!(room(MARGIN, 100 * FRAME, 100), 100 * PAGE);
}
