//! Pagination by an opaque cursor. Pages are ordered by id, newest first, so that inserts do not shift them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::platform::error::{Code, Refusal, Result};

/// The default number of items on a page.
const LIMIT_DEFAULT: u8 = 20;

/// The maximum number of items on a page.
const LIMIT_MAX: u8 = 100;

/// The query parameters of a page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The `next_cursor` of the previous page; absent for the first page.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    pub cursor: Option<String>,
    /// The number of items, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u8>,
}

/// A page to read: items with an id less than `before`, newest first.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// The last id of the previous page; the greatest UUID for the first page.
    pub before: Uuid,
    /// The maximum number of items.
    pub limit: u8,
}

impl PageRequest {
    /// The number of rows to query: one more than the limit, to detect another page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

impl PageQuery {
    /// Parses cursor and limit.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn read(&self) -> Result<PageRequest> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("must be 1 to {LIMIT_MAX}");
            return Err(Refusal::new(Code::InvalidRequest, format!("`limit` {detail}.")).field("limit", detail).into());
        }
        let before = match &self.cursor {
            None => Uuid::max(),
            Some(cursor) => decode(cursor).ok_or_else(|| {
                let detail = "must be the `next_cursor` of another page";
                Refusal::new(Code::InvalidRequest, format!("`cursor` {detail}.")).field("cursor", detail)
            })?,
        };
        Ok(PageRequest { before, limit })
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    #[schema(max_items = 100)]
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(pattern = "^c[0-9a-f]{32}$")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Creates a page from at most [`PageRequest::rows`] items.
    pub fn new(mut items: Vec<T>, request: PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let more = items.len() > usize::from(request.limit);
        items.truncate(usize::from(request.limit));
        let next_cursor = items.last().filter(|_| more).map(|last| encode(id(last)));
        Self { items, next_cursor }
    }
}

fn encode(id: Uuid) -> String {
    format!("c{}", id.simple())
}

fn decode(cursor: &str) -> Option<Uuid> {
    let digits = cursor.strip_prefix('c').filter(|digits| digits.len() == 32)?;
    Uuid::try_parse(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_leads_to_the_next_page() {
        let ids: Vec<_> = (0..5).rev().map(Uuid::from_u128).collect();
        let first = PageQuery { cursor: None, limit: Some(2) }.read().expect("valid");
        let page = Page::new(ids.iter().copied().filter(|id| *id < first.before).take(3).collect(), first, |id| *id);
        assert_eq!(page.items, ids[..2]);
        let second = PageQuery { cursor: page.next_cursor, limit: Some(3) }.read().expect("valid");
        let page = Page::new(ids.iter().copied().filter(|id| *id < second.before).take(4).collect(), second, |id| *id);
        assert_eq!(page.items, ids[2..]);
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn invalid_limit_or_cursor_is_refused() {
        assert!(PageQuery { cursor: None, limit: Some(0) }.read().is_err());
        assert!(PageQuery { cursor: None, limit: Some(101) }.read().is_err());
        for cursor in
            ["", "c", "zzz", "c{00000000-0000-0000-0000-000000000000}", "c00000000-0000-0000-0000-000000000000"]
        {
            assert!(PageQuery { cursor: Some(cursor.into()), limit: None }.read().is_err(), "{cursor}");
        }
    }
}
