"""The R side of a step's run: a small package that every script in R finds, as `stepwell` and as v1's `azuremlsdk`."""

from __future__ import annotations

import os

from stepwell.drivers.r.data import NamedTexts, Table, serialized

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

_OLDEST_R, _DATE = "4.0.0", "2026-01-01"
"""What the packages say that they were installed by: R tells of packages that a newer one made."""

EXPORTS = (
    "get_current_run",
    "log_metric",
    "log_list",
    "log_row",
    "log_table",
    "log_image",
    "set_tag",
    "add_properties",
    "upload_file",
    "upload_folder",
    "log_metric_to_run",
    "log_list_to_run",
    "log_row_to_run",
    "log_table_to_run",
    "log_image_to_run",
    "upload_files_to_run",
    "upload_folder_to_run",
)
"""What the package has for scripts: the functions of Stepwell, and those of v1's package under its names."""

CODE = r"""
.quoted <- function(x) {
  x <- enc2utf8(as.character(x))
  for (pair in list(c("\\", "\\\\"), c("\"", "\\\""), c("\n", "\\n"), c("\r", "\\r"), c("\t", "\\t"))) {
    x <- gsub(pair[1], pair[2], x, fixed = TRUE)
  }
  paste0("\"", gsub("[[:cntrl:]]", " ", x), "\"")
}

.number <- function(x) {
  if (is.nan(x)) return("{\"$float\": \"NaN\"}")
  if (is.na(x)) return("null")
  if (is.infinite(x)) return(if (x > 0) "{\"$float\": \"Infinity\"}" else "{\"$float\": \"-Infinity\"}")
  if (is.integer(x)) return(sprintf("%d", x))
  text <- sprintf("%.15g", x)
  if (as.numeric(text) == x) text else sprintf("%.17g", x)
}

.plain <- function(x) {
  if (is.factor(x)) return(as.character(x))
  if (inherits(x, "Date")) return(format(x, "%Y-%m-%d"))
  if (inherits(x, "POSIXt")) return(format(x, "%Y-%m-%dT%H:%M:%S%z"))
  if (inherits(x, "difftime")) return(as.numeric(x))
  if (isS4(x) || !(is.null(x) || is.list(x) || is.logical(x) || is.numeric(x) || is.character(x))) {
    stop("A value of class ", class(x)[1], " can't be logged: log numbers, texts, dates, or lists of them.", call. = FALSE)
  }
  x
}

.json <- function(x, list = FALSE) {
  x <- .plain(x)
  if (is.null(x)) return("null")
  if (is.list(x)) {
    columns <- is.data.frame(x)
    items <- vapply(x, .json, "", list = columns)
    if (list || is.null(names(x))) return(paste0("[", paste(items, collapse = ", "), "]"))
    keys <- .quoted(sub("^\\$", "$$", names(x)))
    return(paste0("{", paste(keys, items, sep = ": ", collapse = ", "), "}"))
  }
  if (is.matrix(x) && !list) return(.json(lapply(seq_len(nrow(x)), function(row) as.list(unname(x[row, ])))))
  if (is.logical(x)) items <- ifelse(is.na(x), "null", ifelse(x, "true", "false"))
  else if (is.numeric(x)) items <- vapply(x, .number, "")
  else items <- ifelse(is.na(x), "null", .quoted(x))
  if (length(x) == 1 && !list) items else paste0("[", paste(items, collapse = ", "), "]")
}

.one <- function(x, name) {
  if (length(x) == 0) stop("There is no value of ", name, " to be logged: it is ", if (is.null(x)) "NULL" else "empty", ".", call. = FALSE)
  x <- .plain(x)
  if (!is.list(x) && length(x) == 1 && is.na(x)) {
    if (is.character(x)) stop("The value of ", name, " is NA: log a number or a text.", call. = FALSE)
    return(NaN)
  }
  x
}

.text <- function(x, name) {
  if (length(x) != 1 || is.na(x)) stop("The value of ", name, " must be one text.", call. = FALSE)
  .quoted(.plain(x))
}

.named <- function(x, what) {
  if (length(x) == 0 || is.null(names(x)) || !all(nzchar(names(x)))) stop(what, " must have names.", call. = FALSE)
  x
}

.event <- function(type, name, value, ...) {
  if (!is.character(name) || length(name) != 1 || is.na(name) || !nzchar(name)) {
    stop("The name of what is logged must be a text.", call. = FALSE)
  }
  facts <- list(type = type, scope = "step", name = name)
  more <- Filter(Negate(is.null), list(...))
  rest <- vapply(c(facts, more, list(time = as.numeric(Sys.time()))), .json, "")
  text <- paste0("{", paste(paste0("\"", names(rest), "\": ", rest), collapse = ", "), ", \"value\": ", value, "}")
  folder <- Sys.getenv("STEPWELL_CONTROL")
  if (!nzchar(folder)) {
    cat("Attempted to log", type, name, "\n")
  } else {
    target <- base::file(base::file.path(folder, "events.jsonl"), "ab")
    on.exit(close(target))
    writeBin(charToRaw(paste0("\n", enc2utf8(text), "\n")), target)
  }
  invisible(NULL)
}

.described <- function(description) {
  text <- paste(as.character(description), collapse = " ")
  if (nzchar(text)) text else NULL
}

.keep <- function(name, path, again = FALSE) {
  if (!file.exists(path) || dir.exists(path)) stop("There is no such file to keep: ", path)
  parts <- strsplit(name, "/", fixed = TRUE)[[1]]
  if (!nzchar(name) || startsWith(name, "/") || any(parts %in% c("..", "."))) {
    stop("The name of a file must be a path below the run's folder: ", name)
  }
  folder <- Sys.getenv("STEPWELL_CONTROL")
  if (!nzchar(folder)) return(name)
  number <- 0
  kept <- name
  while (again && file.exists(file.path(folder, "files", kept))) {
    number <- number + 1
    kept <- sub("(\\.[^.]*)?$", paste0("_", number, "\\1"), name)
  }
  target <- file.path(folder, "files", kept)
  dir.create(dirname(target), recursive = TRUE, showWarnings = FALSE)
  if (!file.copy(path, target, overwrite = FALSE)) stop("The run has a file ", kept, " already: use another name.")
  kept
}

log_metric <- function(name, value, step = NULL, description = "") {
  if (!is.null(step) && !(is.numeric(step) && length(step) == 1 && is.finite(step))) {
    stop("The step of ", name, " must be a number.", call. = FALSE)
  }
  value <- .json(.one(value, name))
  .event("metric", name, value, kind = "scalar", step = step, description = .described(description))
}

log_list <- function(name, value, description = "") {
  value <- if (is.null(value)) "[]" else .json(value, list = TRUE)
  .event("metric", name, value, kind = "list", description = .described(description))
}

log_row <- function(name, description = "", ...) {
  row <- .json(.named(list(...), "The values of a row"))
  .event("metric", name, row, kind = "row", description = .described(description))
}

log_table <- function(name, value, description = "") {
  value <- .named(as.list(if (is.matrix(value)) as.data.frame(value) else value), "The columns of a table")
  columns <- vapply(value, .json, "", list = TRUE)
  text <- paste0("{", paste(.quoted(sub("^\\$", "$$", names(value))), columns, sep = ": ", collapse = ", "), "}")
  .event("metric", name, text, kind = "table", description = .described(description))
}

log_image <- function(name, path = NULL, plot = NULL, description = "") {
  if (is.null(path) == is.null(plot)) stop("An image needs one of path and plot.")
  if (is.null(path)) {
    path <- tempfile(fileext = ".png")
    on.exit(unlink(path))
    grDevices::png(path, width = 800, height = 600)
    print(plot)
    grDevices::dev.off()
  }
  ending <- regmatches(path, regexpr("\\.[^./]*$", path))
  kept <- .keep(paste0(gsub("[^A-Za-z0-9_./-]", "_", name), ending), path, again = TRUE)
  .event("image", name, .quoted(kept), description = .described(description))
}

set_tag <- function(name, value = NULL) {
  .event("tag", name, if (is.null(value)) "null" else .text(value, name))
}

add_properties <- function(properties, run = NULL) {
  for (name in names(.named(properties, "Properties"))) .event("property", name, .text(properties[[name]], name))
}

upload_file <- function(name, path) {
  .event("file", name, .quoted(.keep(name, path)))
}

upload_folder <- function(name, path) {
  for (one in list.files(path, recursive = TRUE)) upload_file(file.path(name, one), file.path(path, one))
}

get_current_run <- function(allow_offline = TRUE) {
  id <- Sys.getenv("AZUREML_RUN_ID")
  if (!nzchar(id) && !allow_offline) stop("This script doesn't run inside a step.")
  list(id = if (nzchar(id)) id else "OfflineRun_r")
}

log_metric_to_run <- function(name, value, run = NULL) log_metric(name, value)
log_list_to_run <- function(name, value, description = "", run = NULL) log_list(name, value, description)
log_row_to_run <- function(name, description = "", run = NULL, ...) log_row(name, description, ...)
log_table_to_run <- function(name, value, description = "", run = NULL) log_table(name, value, description)
log_image_to_run <- function(name, path = NULL, plot = NULL, description = "", run = NULL) {
  log_image(name, path, plot, description)
}
upload_files_to_run <- function(names, paths, timeout_seconds = NULL, run = NULL) {
  invisible(Map(upload_file, names, paths))
}
upload_folder_to_run <- function(name, path, run = NULL) upload_folder(name, path)

.watch <- function(reads) {
  own <- paste0(normalizePath(c(R.home(), R.home("share"), .libPaths(), tempdir()), mustWork = FALSE), "/")
  for (name in c("file", "gzfile", "bzfile", "xzfile")) {
    local({
      original <- get(name, baseenv())
      watched <- original
      note <- bquote(if (is.character(description) && length(description) == 1L && (open == "" || startsWith(open, "r"))) {
        .(function(path) {
          try({
            path <- normalizePath(path, mustWork = FALSE)
            counts <- base::file.exists(path) && !base::dir.exists(path) && !any(startsWith(path, own))
            if (counts) cat(path, "\n", sep = "", file = reads, append = TRUE)
          }, silent = TRUE)
        })(description)
      })
      body(watched) <- call("{", note, body(original))
      environment(watched) <- environment(original)
      unlockBinding(name, baseenv())
      assign(name, watched, envir = baseenv())
      lockBinding(name, baseenv())
    })
  }
}
"""
"""The package's code: what is logged is written as `stepwell.script.events` says."""

ON_LOAD = """
.onLoad <- function(...) if (nzchar(Sys.getenv("STEPWELL_R_READS"))) .watch(Sys.getenv("STEPWELL_R_READS"))
"""

QUIET = """
.onAttach <- function(...) assign(".conflicts.OK", TRUE, as.environment("package:azuremlsdk"))
"""
"""Lets the second of the packages have the names of the first without a word."""


def write_package(library: str, name: str, code: str) -> None:
    """Write a package of this code to a library, as R installs one."""
    home = os.path.join(library, name)
    for folder in ("R", "Meta"):
        os.makedirs(os.path.join(home, folder))
    facts = NamedTexts(Package=name, Version="1.0", Title="The run of a step", Built=f"R {_OLDEST_R}; ; {_DATE}; unix")
    nothing: dict[str, Any] = {}
    needs = dict.fromkeys(("Rdepends", "Rdepends2", "Depends", "Suggests", "Imports", "LinkingTo"), nothing)
    built = {"R": _OLDEST_R, "Platform": "", "Date": _DATE, "OStype": "unix"}
    exports: dict[str, Any] = {
        **dict.fromkeys(("imports", "importClasses", "importMethods", "nativeRoutines"), nothing),
        **dict.fromkeys(("exportPatterns", "exportClasses", "exportMethods", "exportClassPatterns", "dynlibs"), ()),
        "exports": list(EXPORTS),
        "S3methods": Table(4),
    }
    files = {
        "DESCRIPTION": "".join(f"{key}: {value}\n" for key, value in facts.items()).encode(),
        "NAMESPACE": f"export({','.join(EXPORTS)})\n".encode(),
        "Meta/package.rds": serialized({"DESCRIPTION": facts, "Built": built, **needs}),
        "Meta/nsInfo.rds": serialized(exports),
        f"R/{name}": code.encode(),
    }
    for path, content in files.items():
        with open(os.path.join(home, path), "wb") as stream:
            stream.write(content)
