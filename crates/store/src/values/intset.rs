//! Sets of integers: sorted, all in the width of the widest.

/// A sorted array of integers of 2, 4 or 8 bytes. It widens when it must and does not narrow again.
#[derive(Clone, Debug)]
pub(super) struct IntSet {
    width: Width,
    /// Little-endian.
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Width {
    W16 = 2,
    W32 = 4,
    W64 = 8,
}

impl Width {
    fn of(int: i64) -> Width {
        if i16::try_from(int).is_ok() {
            Width::W16
        } else if i32::try_from(int).is_ok() {
            Width::W32
        } else {
            Width::W64
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }
}

impl IntSet {
    pub(super) fn new() -> Self {
        IntSet {
            width: Width::W16,
            bytes: Box::default(),
        }
    }

    /// The set of these, which ascend.
    pub(super) fn of_sorted(ints: &[i64]) -> Self {
        let ends = [ints.first(), ints.last()].into_iter().flatten();
        let width = ends.map(|int| Width::of(*int));
        let width = width.fold(
            Width::W16,
            |widest, width| if width > widest { width } else { widest },
        );
        let mut bytes = Vec::with_capacity(ints.len() * width.bytes());
        ints.iter()
            .for_each(|int| bytes.extend_from_slice(&int.to_le_bytes()[..width.bytes()]));
        IntSet {
            width,
            bytes: bytes.into_boxed_slice(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.width.bytes()
    }

    pub(super) fn heap_size(&self) -> usize {
        self.bytes.len()
    }

    /// The integer at `index` of the sorted order.
    pub(super) fn get(&self, index: usize) -> i64 {
        let at = &self.bytes[index * self.width.bytes()..][..self.width.bytes()];
        match *at {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            _ => i64::from_le_bytes(at.try_into().expect("the widest integers have 8 bytes")),
        }
    }

    /// Where `int` is, or belongs.
    fn search(&self, int: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle) < int {
                low = middle + 1
            } else {
                high = middle
            }
        }
        if low < self.len() && self.get(low) == int {
            Ok(low)
        } else {
            Err(low)
        }
    }

    pub(super) fn contains(&self, int: i64) -> bool {
        self.search(int).is_ok()
    }

    pub(super) fn insert(&mut self, int: i64) -> bool {
        let Err(index) = self.search(int) else {
            return false;
        };
        if Width::of(int) > self.width {
            self.widen(Width::of(int));
        }
        let width = self.width.bytes();
        let at = index * width;
        let mut bytes = Vec::with_capacity(self.bytes.len() + width);
        bytes.extend_from_slice(&self.bytes[..at]);
        bytes.extend_from_slice(&int.to_le_bytes()[..width]);
        bytes.extend_from_slice(&self.bytes[at..]);
        self.bytes = bytes.into_boxed_slice();
        true
    }

    fn widen(&mut self, width: Width) {
        let mut bytes = Vec::with_capacity(self.len() * width.bytes());
        self.iter()
            .for_each(|int| bytes.extend_from_slice(&int.to_le_bytes()[..width.bytes()]));
        *self = IntSet {
            width,
            bytes: bytes.into_boxed_slice(),
        };
    }

    pub(super) fn remove(&mut self, int: i64) -> bool {
        let Ok(index) = self.search(int) else {
            return false;
        };
        self.remove_at(index);
        true
    }

    pub(super) fn remove_at(&mut self, index: usize) {
        let at = index * self.width.bytes();
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        bytes.drain(at..at + self.width.bytes());
        self.bytes = bytes.into_boxed_slice();
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = i64> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widens_and_stays_sorted() {
        let mut set = IntSet::new();
        for int in [5, -3, 70_000, 5, i64::MIN, 32_767, i64::MAX, -32_769] {
            set.insert(int);
        }
        let all: Vec<i64> = set.iter().collect();
        assert_eq!(all, [i64::MIN, -32_769, -3, 5, 32_767, 70_000, i64::MAX]);
        assert!(set.remove(i64::MIN) && !set.remove(6) && set.contains(70_000));
        assert_eq!(set.heap_size(), 6 * 8);
    }
}
