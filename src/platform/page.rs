//! Lists: an opaque cursor, a limit, and the way to the next page. Pages run by id, newest first, so that inserts move nothing.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::platform::error::{Code, Refusal, Result};

/// Items on a page if nobody says how many.
const LIMIT_DEFAULT: u8 = 20;

/// Items on a page at most.
const LIMIT_MAX: u8 = 100;

/// Which page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before; absent for the first one.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    pub cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u8>,
}

/// A page to be read: the items after `before` (exclusive), newest first.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// The last item of the page before; the greatest of all ids for the first page.
    pub before: Uuid,
    /// How many.
    pub limit: u8,
}

impl PageRequest {
    /// One more than the limit, so that the query tells whether there is another page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

impl PageQuery {
    /// Reads cursor and limit.
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
                let detail = "must be the `next_cursor` of an earlier page";
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
    /// Give this as `cursor` to read on; `null` on the last page.
    #[schema(pattern = "^c[0-9a-f]{32}$")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of what was read with [`PageRequest::rows`].
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
    Uuid::try_parse(cursor.strip_prefix('c')?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_one_another() {
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
    fn a_limit_or_cursor_out_of_range_is_refused() {
        assert!(PageQuery { cursor: None, limit: Some(0) }.read().is_err());
        assert!(PageQuery { cursor: None, limit: Some(101) }.read().is_err());
        assert!(PageQuery { cursor: Some("zzz".into()), limit: None }.read().is_err());
    }
}
