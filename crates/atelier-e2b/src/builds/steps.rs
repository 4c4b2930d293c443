//! The steps of a build, but for `COPY`.

use super::copy::copy;
use super::order::{Action, Step};
use super::shell::{Context, Lines, Shell};
use super::words::{expandable, quote};

/// Does a step; the context is what the next one starts with.
pub(super) async fn execute(
    shell: &Shell,
    step: &Step,
    context: &Context,
    lines: &Lines<'_>,
) -> Result<Context, String> {
    match &step.action {
        Action::Run { command, user } => {
            let user = user.as_deref().unwrap_or(&context.user);
            let ran = shell.run(command, &context.with_user(user), lines).await;
            ran.map_err(|why| format!("failed to run command '{command}': {why}"))?;
            Ok(context.clone())
        }
        Action::Copy(files) => {
            copy(shell, files, context, lines).await?;
            Ok(context.clone())
        }
        Action::Env(pairs) => variables(shell, pairs, context).await,
        Action::Workdir(path) => workdir(shell, path, context, lines).await,
        Action::User { name, sudo } => user(shell, name, *sudo, context, lines).await,
    }
}

/// Values may name variables: those of the image, and those that were set before.
async fn variables(
    shell: &Shell,
    pairs: &[(String, String)],
    context: &Context,
) -> Result<Context, String> {
    let mut context = context.clone();
    for (key, value) in pairs {
        let command = format!("printf '%s' {}", expandable(value));
        let value = shell.output(&command, &context.as_root()).await;
        let value =
            value.map_err(|why| format!("failed to evaluate environment variable {key}: {why}"))?;
        context.variables.insert(key.clone(), value);
    }
    Ok(context)
}

/// The folder is made if it is not there, and belongs to the user then, with those above it that
/// had to be made.
async fn workdir(
    shell: &Shell,
    path: &str,
    context: &Context,
    lines: &Lines<'_>,
) -> Result<Context, String> {
    let path = if path.starts_with(['/', '$']) {
        path.to_owned()
    } else {
        format!("{}/{path}", context.workdir.as_deref().unwrap_or_default().trim_end_matches('/'))
    };
    let script = format!(
        "target={}\n\
         made=\n\
         check=$target\n\
         while [ ! -d \"$check\" ]; do made=$check; check=$(dirname \"$check\"); done\n\
         if [ -n \"$made\" ]; then mkdir -p \"$target\" && chown -R {} \"$made\"; fi",
        expandable(&path),
        quote(&format!("{0}:{0}", context.user)),
    );
    let root = context.as_root();
    let made = shell.run(&script, &root, lines).await;
    made.map_err(|why| format!("failed to create workdir: {why}"))?;
    let whole = shell.output(&format!("cd {} && pwd", expandable(&path)), &root).await;
    let whole = whole.map_err(|why| format!("failed to save workdir {path}: {why}"))?;
    Ok(Context { workdir: Some(whole.trim().to_owned()), ..context.clone() })
}

/// The user is made if it is not there.
async fn user(
    shell: &Shell,
    name: &str,
    sudo: bool,
    context: &Context,
    lines: &Lines<'_>,
) -> Result<Context, String> {
    let root = context.as_root();
    let make = format!(
        "name={}\n\
         id \"$name\" >/dev/null 2>&1 && exit 0\n\
         if command -v useradd >/dev/null 2>&1; then\n\
         useradd --create-home --shell {} \"$name\"\n\
         else adduser -D \"$name\"; fi",
        expandable(name),
        "\"$([ -x /bin/bash ] && echo /bin/bash || echo /bin/sh)\"",
    );
    let made = shell.run(&make, &root, lines).await;
    made.map_err(|why| format!("failed to create user: {why}"))?;
    let name = shell.output(&format!("printf '%s' {}", expandable(name)), &root).await?;
    if sudo {
        let rule = quote(&format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL"));
        let allow = format!(
            "for group in sudo wheel; do\n\
             if grep -q \"^$group:\" /etc/group; then usermod -aG \"$group\" {0}; break; fi\n\
             done\n\
             if [ -f /etc/sudoers ]; then\n\
             grep -qF {rule} /etc/sudoers || echo {rule} >>/etc/sudoers\n\
             fi",
            quote(&name),
        );
        let allowed = shell.run(&allow, &root, lines).await;
        allowed.map_err(|why| format!("failed to configure sudoers: {why}"))?;
    }
    Ok(context.with_user(&name))
}
