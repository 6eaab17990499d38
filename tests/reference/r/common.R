# What the scripts of this folder share: the package's own data sets with their level order,
# fits polished to the optimum, and compact JSON. Run a script from this folder:
#   Rscript emmeans.R
Sys.setenv(OPENBLAS_NUM_THREADS = "1", OMP_NUM_THREADS = "1")
options(warn = 1, digits = 15, contrasts = c("contr.treatment", "contr.poly"))
suppressPackageStartupMessages({ library(lme4); library(jsonlite) })

files <- "../../../src/mixedeffects/data/files"
registry <- fromJSON(file.path(files, "datasets.json"), simplifyVector = TRUE)

columns_of <- function(name) {
  own <- file.path("data", paste0(name, ".json"))
  described <- if (file.exists(own)) fromJSON(own) else registry[[name]]$columns
  lapply(described, function(column) {
    if (is.null(column$levels)) return(list(type = "numeric"))
    list(type = "factor", levels = I(column$levels), ordered = isTRUE(column$ordered))
  })
}

# One global symbol a data set, because refits and reference grids look the data up again
read_data <- function(name) {
  own <- file.path("data", paste0(name, ".csv"))
  path <- if (file.exists(own)) own else gzfile(file.path(files, paste0(name, ".csv.gz")))
  columns <- columns_of(name)
  classes <- ifelse(vapply(columns, function(c) c$type == "factor", NA), "character", "numeric")
  data <- read.csv(path, colClasses = classes, na.strings = "", check.names = FALSE)
  for (column in names(columns)) if (columns[[column]]$type == "factor")
    data[[column]] <- factor(data[[column]], as.vector(columns[[column]]$levels),
                             ordered = columns[[column]]$ordered)
  assign(paste0("data_", name), data, envir = globalenv())
  as.name(paste0("data_", name))
}

write_data <- function(name, data) {
  write.csv(data, file.path("data", paste0(name, ".csv")), row.names = FALSE, quote = FALSE)
  described <- lapply(data, function(x) if (is.factor(x)) list(levels = I(levels(x))) else setNames(list(), character()))
  writeLines(toJSON(described, auto_unbox = TRUE), file.path("data", paste0(name, ".json")))
}

# Derivative-free search, then Newton steps on numerical derivatives where no bound is active
polished <- function(fn, par, lower, upper, control) {
  n <- length(par)
  inside <- function(x) fn(pmin(pmax(x, lower), upper))
  best <- list(par = par, objective = inside(par))
  better <- function(x) { value <- inside(x); if (value <= best$objective) best <<- list(par = pmax(x, lower), objective = value) }
  for (start in list(par, ifelse(par == 0, 0, 0.5)))
    for (round in 1:2)
      better(if (n == 1) optimize(inside, c(0, 10 * max(1, best$par)), tol = 1e-12)$minimum
             else minqa::bobyqa(if (round == 1) start else best$par, fn, lower, upper,
                                control = list(rhobeg = 0.2 / round, rhoend = 1e-9, maxfun = 50000))$par)
  better(ifelse(best$par < 1e-3 & lower == 0, 0, best$par))
  free <- which(best$par > lower + 1e-6)
  if (length(free)) for (step in 1:3) {
    along <- function(z) fn(replace(best$par, free, z))
    z <- best$par[free]
    direction <- tryCatch(-solve(numDeriv::hessian(along, z, method.args = list(eps = 1e-3)), numDeriv::grad(along, z)), error = function(e) NULL)
    if (is.null(direction) || max(abs(direction)) > 0.05) break
    moved <- replace(best$par, free, z + direction)
    if (any(moved < lower)) break
    if (fn(moved) <= best$objective + 1e-8) best <- list(par = moved, objective = fn(moved))
  }
  list(par = best$par, fval = fn(best$par), conv = 0, feval = 0, message = "")
}

fit <- function(formula, data, reml = TRUE, weights = NULL, contrasts = NULL) {
  environment(formula) <- globalenv()
  call <- call("lmer", formula, data = data, REML = reml)
  if (!is.null(weights)) call$weights <- as.name(weights)
  if (!is.null(contrasts)) call$contrasts <- contrasts
  call$control <- quote(lmerControl(optimizer = "polished", calc.derivs = FALSE, check.conv.singular = "ignore",
                                    check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev = "ignore", check.scaleX = "ignore"))
  suppressWarnings(eval(call, globalenv()))
}

# A case as tests/golden.py reads it
case <- function(name, formula, results, reml = TRUE, weights = NULL, contrasts = NULL, ...)
  list(dataset = name, columns = columns_of(name),
       model = c(list(kind = "lmm", formula = text(formula), REML = reml), list(...),
                 if (!is.null(weights)) list(weights = weights),
                 if (!is.null(contrasts)) list(contrasts = contrasts)),
       results = results)

text <- function(formula) paste(deparse(formula, width.cutoff = 500L), collapse = " ")
basics <- function(m) list(loglik = as.numeric(logLik(m)), fixef = as.list(fixef(m)), theta = unname(getME(m, "theta")),
                           sigma = sigma(m), objective_is = if (isREML(m)) "REML" else "ML")
by_column <- function(table) lapply(as.list(as.data.frame(table)), function(z) I(if (is.factor(z)) as.character(z) else unname(z)))
with_terms <- function(table, name = "term") by_column(cbind(setNames(data.frame(trimws(rownames(table))), name), as.data.frame(table)))
square <- function(x) { x <- as.matrix(x); dimnames(x) <- NULL; x }

store <- function(topic, cases, packages, notes = list()) {
  versions <- lapply(setNames(nm = packages), function(p) as.character(packageVersion(p)))
  out <- list(software = c(list(R = paste(R.version$major, R.version$minor, sep = ".")), versions),
              script = paste0(topic, ".R"), notes = notes, cases = cases)
  file <- paste0(topic, ".json")
  writeLines(toJSON(out, auto_unbox = TRUE, digits = 12, na = "null", null = "null", force = TRUE), file)
  cat(file, file.size(file) / 1024, "KB\n")
}
