//! How wide each column of a table gets where a terminal is too narrow for all: texts are cut first, then spare columns left
//! out, and only where nothing else is left everything is cut.

use super::{Column, Room};

/// Spaces between two columns.
const GAP: usize = 2;
/// A text is not cut below this as long as a spare column can give way.
const READABLE: usize = 16;
/// A text is not cut below this as long as columns that stay whole fit beside it.
const LEAST: usize = 8;
/// Nothing gets narrower than this.
const NARROWEST: usize = 3;

/// The widths of the columns, nothing for one that is left out; `natural` is what each would take, `room` what the line may
/// take in all.
pub fn fit(columns: &[Column], natural: &[usize], room: Option<usize>) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> = natural.iter().copied().map(Some).collect();
    let Some(room) = room else { return widths };
    let may_be_cut = |at: usize| columns[at].room == Room::Cut;
    loop {
        shrink(&mut widths, room, READABLE, may_be_cut);
        if total(&widths) <= room {
            return widths;
        }
        let is_spare = |at: &usize| columns[*at].room == Room::Spare && widths[*at].is_some();
        let Some(spare) = (0..columns.len()).rev().find(is_spare) else {
            break;
        };
        widths[spare] = None;
        for (width, natural) in widths.iter_mut().zip(natural) {
            *width = width.map(|_| *natural);
        }
    }
    shrink(&mut widths, room, LEAST, may_be_cut);
    shrink(&mut widths, room, NARROWEST, |_| true);
    widths
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1)
}

/// Takes from the widest until the line fits or none is wider than `floor`.
fn shrink(widths: &mut [Option<usize>], room: usize, floor: usize, may_be_cut: impl Fn(usize) -> bool) {
    while total(widths) > room {
        let wide = (0..widths.len()).filter(|&at| may_be_cut(at) && widths[at] > Some(floor));
        let Some(widest) = wide.max_by_key(|&at| widths[at]) else {
            return;
        };
        widths[widest] = widths[widest].map(|width| width - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, column, id, text};
    use super::*;

    const COLUMNS: &[Column] = &[
        text("host", "/a"),
        column("missing", "/b", Shape::Count),
        text("reason", "/c"),
        id("/d").spare(),
    ];

    #[test]
    fn a_table_that_fits_or_that_no_person_reads_is_left_as_it_is() {
        let natural = [10, 7, 20, 36];
        let whole: Vec<_> = natural.into_iter().map(Some).collect();
        assert_eq!(fit(COLUMNS, &natural, None), whole);
        assert_eq!(fit(COLUMNS, &natural, Some(79)), whole);
    }

    #[test]
    fn texts_are_cut_before_a_column_goes_and_the_widest_first() {
        assert_eq!(
            fit(COLUMNS, &[18, 7, 40, 36], Some(90)),
            [Some(18), Some(7), Some(23), Some(36)]
        );
        assert_eq!(
            fit(COLUMNS, &[18, 7, 40, 36], Some(80)),
            [Some(18), Some(7), Some(40), None]
        );
    }

    #[test]
    fn no_line_gets_longer_than_there_is_room() {
        for room in 40..130 {
            for natural in [[4, 7, 6, 36], [64, 7, 64, 36], [64, 64, 64, 64], [3, 3, 3, 3]] {
                let widths = fit(COLUMNS, &natural, Some(room));
                assert!(total(&widths) <= room, "{widths:?} in {room}");
            }
        }
    }
}
