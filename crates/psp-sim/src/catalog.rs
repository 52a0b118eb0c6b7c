//! Objects in the order of their creation, found by id and listed newest first, page by page.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api_error::ApiError;
use crate::model::{Dispute, Intent, Refund, UnixSeconds};
use crate::params::Params;

pub trait CatalogItem {
    fn id(&self) -> &str;
    fn created_s(&self) -> UnixSeconds;
}

impl CatalogItem for Intent {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_s(&self) -> UnixSeconds {
        self.created_s
    }
}

impl CatalogItem for Refund {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_s(&self) -> UnixSeconds {
        self.created_s
    }
}

impl CatalogItem for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_s(&self) -> UnixSeconds {
        self.created_s
    }
}

/// All objects of one type.
#[derive(Debug)]
pub struct Catalog<T> {
    items: Vec<Arc<T>>,
    positions: HashMap<String, usize>,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self { items: Vec::new(), positions: HashMap::new() }
    }
}

impl<T: CatalogItem> Catalog<T> {
    /// Appends a new object, or repositions the one with its id.
    pub fn put(&mut self, item: Arc<T>) {
        match self.positions.get(item.id()) {
            Some(&position) => self.items[position] = item,
            None => {
                self.positions.insert(item.id().to_owned(), self.items.len());
                self.items.push(item);
            }
        }
    }

    /// The object with this id. O(1).
    pub fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.positions.get(id).map(|&position| &self.items[position])
    }

    /// All objects, oldest first.
    pub fn all(&self) -> &[Arc<T>] {
        &self.items
    }

    /// One page of the objects that `matches`, newest first. Stable under inserts. O(n) in the skipped objects.
    ///
    /// # Errors
    /// 400 if a cursor names no object.
    pub fn page(&self, query: &PageQuery, matches: impl Fn(&T) -> bool) -> Result<Page<T>, ApiError> {
        let position = |param: &str, id: &str| {
            let missing = || ApiError::no_such(400, "object", id, param);
            self.positions.get(id).copied().ok_or_else(missing)
        };
        let wanted = |item: &&Arc<T>| query.covers(item.created_s()) && matches(item);
        // One more than the limit shows whether there are more.
        let limit = query.limit + 1;
        let mut items: Vec<Arc<T>> = match &query.cursor {
            Some(Cursor::EndingBefore(id)) => {
                let newer = &self.items[position("ending_before", id)? + 1..];
                newer.iter().filter(wanted).take(limit).cloned().collect()
            }
            Some(Cursor::StartingAfter(id)) => {
                let older = &self.items[..position("starting_after", id)?];
                older.iter().rev().filter(wanted).take(limit).cloned().collect()
            }
            None => self.items.iter().rev().filter(wanted).take(limit).cloned().collect(),
        };
        let has_more = items.len() > query.limit;
        items.truncate(query.limit);
        if matches!(query.cursor, Some(Cursor::EndingBefore(_))) {
            items.reverse();
        }
        Ok(Page { items, has_more })
    }
}

/// A page of a list, newest first.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<Arc<T>>,
    /// Whether there are more objects in the direction of the cursor.
    pub has_more: bool,
}

/// The query of a page: `limit`, `starting_after` or `ending_before`, `created` or `created[gt|gte|lt|lte]`.
#[derive(Debug)]
pub struct PageQuery {
    limit: usize,
    cursor: Option<Cursor>,
    /// The first and the last second, inclusive.
    created_s: (UnixSeconds, UnixSeconds),
}

#[derive(Debug)]
enum Cursor {
    StartingAfter(String),
    EndingBefore(String),
}

/// Stripe's limits for `limit`.
const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 100;

impl PageQuery {
    /// Takes the query from the parameters.
    ///
    /// # Errors
    /// 400 if a parameter is invalid.
    pub fn take(params: &mut Params) -> Result<Self, ApiError> {
        let limit = match params.integer("limit", 1)? {
            Some(limit) => usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
            None => LIMIT_DEFAULT,
        };
        let cursor = match (params.text("starting_after")?, params.text("ending_before")?) {
            (Some(_), Some(_)) => {
                let message = "You may only specify one of these parameters: ending_before, starting_after.";
                return Err(ApiError::invalid(message).param("ending_before"));
            }
            (Some(id), None) => Some(Cursor::StartingAfter(id)),
            (None, Some(id)) => Some(Cursor::EndingBefore(id)),
            (None, None) => None,
        };
        let exactly = params.integer("created", 0)?;
        let after = params.integer("created[gt]", 0)?.map(|second| second.saturating_add(1));
        let from = params.integer("created[gte]", 0)?;
        let before = params.integer("created[lt]", 0)?.map(|second| second.saturating_sub(1));
        let until = params.integer("created[lte]", 0)?;
        let first = [exactly, after, from].into_iter().flatten().max().unwrap_or(UnixSeconds::MIN);
        let last = [exactly, before, until].into_iter().flatten().min().unwrap_or(UnixSeconds::MAX);
        Ok(Self { limit, cursor, created_s: (first, last) })
    }

    fn covers(&self, created_s: UnixSeconds) -> bool {
        let (first, last) = self.created_s;
        (first..=last).contains(&created_s)
    }
}
