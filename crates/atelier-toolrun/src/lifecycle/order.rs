//! In which order tools are started: each after those that it requires.

use std::collections::BTreeMap;

use super::error::{Error, Result};
use super::tool::Tool;
use crate::{Home, Slug};

/// These tools and all that they require, each after what it requires. Where the order is free, it is the
/// one that was given.
///
/// # Errors
/// [`Error::Cycle`], [`Error::Requires`], [`Error::Plugin`].
pub fn in_order(home: &Home, slugs: &[Slug]) -> Result<Vec<Tool>> {
    let mut walk = Walk { home, path: Vec::new(), done: Vec::new() };
    for slug in slugs {
        walk.visit(slug)?;
    }
    Ok(walk.done)
}

struct Walk<'a> {
    home: &'a Home,
    path: Vec<Slug>,
    done: Vec<Tool>,
}

impl Walk<'_> {
    fn visit(&mut self, slug: &Slug) -> Result<()> {
        if self.done.iter().any(|tool| tool.slug == *slug) {
            return Ok(());
        }
        if let Some(at) = self.path.iter().position(|one| one == slug) {
            let ring = self.path[at..].iter().chain([slug]).map(ToString::to_string).collect();
            return Err(Error::Cycle { path: ring });
        }
        let tool = Tool::load(self.home, slug)?;
        self.path.push(slug.clone());
        for name in &tool.plugin.requires {
            let missing = || Error::Requires { slug: slug.to_string(), missing: name.clone() };
            let required: Slug = name.parse().map_err(|_| missing())?;
            if !self.home.plugin(&required).exists() {
                return Err(missing());
            }
            self.visit(&required)?;
        }
        self.path.pop();
        self.done.push(tool);
        Ok(())
    }
}

/// These tools and all of `installed` that require them, each before what it requires.
pub(crate) fn to_stop(slugs: &[Slug], installed: &[Tool]) -> Vec<Slug> {
    let needs: BTreeMap<&Slug, Vec<&str>> = installed
        .iter()
        .map(|tool| (&tool.slug, tool.plugin.requires.iter().map(String::as_str).collect()))
        .collect();
    let mut done: Vec<Slug> = Vec::new();
    fn visit(
        slug: &Slug,
        needs: &BTreeMap<&Slug, Vec<&str>>,
        path: &mut Vec<Slug>,
        done: &mut Vec<Slug>,
    ) {
        // A ring cannot be started, and each of it can be stopped.
        if done.contains(slug) || path.contains(slug) {
            return;
        }
        path.push(slug.clone());
        for (other, requires) in needs {
            if requires.contains(&slug.as_str()) {
                visit(other, needs, path, done);
            }
        }
        path.pop();
        done.push(slug.clone());
    }
    for slug in slugs.iter().rev() {
        visit(slug, &needs, &mut Vec::new(), &mut done);
    }
    done
}
