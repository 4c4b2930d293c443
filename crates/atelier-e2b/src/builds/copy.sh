# COPY: puts what was unpacked at $source where it belongs, as Docker does. A folder's contents are
# merged into the target; a file or a symbolic link becomes the target, or goes into it when the
# target ends with a slash or is a folder.
set -u
case "$target" in
    /*) ;;
    *) target="$workdir/$target" ;;
esac
if [ -d "$source" ] && [ ! -L "$source" ]; then
    chown -Rh "$owner" "$source" || exit 1
    if [ -n "$mode" ]; then
        # Links have no mode of their own, and what they point at is not ours to change.
        find "$source" ! -type l -exec chmod "$mode" {} + || exit 1
    fi
    if [ ! -d "$target" ]; then
        mkdir -p "$target" || exit 1
        chown "$owner" "$target" || exit 1
    fi
    # tar puts files in the place of links, and goes through links to folders.
    keep=
    if tar --version 2>/dev/null | grep -q GNU; then
        keep='--keep-directory-symlink --no-overwrite-dir'
    fi
    # Without -e a failure of the reading side would pass: it leaves a mark.
    rm -f "$source.failed"
    { (cd "$source" && tar -cf - .) || : >"$source.failed"; } | tar -xpf - -C "$target" $keep || exit 1
    [ ! -e "$source.failed" ] || exit 1
elif [ -e "$source" ] || [ -L "$source" ]; then
    chown -h "$owner" "$source" || exit 1
    if [ -n "$mode" ] && [ ! -L "$source" ]; then
        chmod "$mode" "$source" || exit 1
    fi
    case "$target" in
        */) mkdir -p "$target" || exit 1 ;;
        *) mkdir -p "$(dirname "$target")" || exit 1 ;;
    esac
    mv -f "$source" "$target" || exit 1
else
    echo "the source does not exist: $name" >&2
    exit 1
fi
