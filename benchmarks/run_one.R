# Fits one case with lme4 or glmmTMB, as run_one.py does for the Python packages:
#   Rscript run_one.R DATA.csv FORMULA reml|ml REFITS lme4|glmmTMB FAMILY ZERO_INFLATION
suppressMessages(library(lme4))

memory <- function(field) {
  line <- grep(paste0("^", field), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
answer <- function(...) cat("JSON {", paste(..., sep = ", "), "}\n", sep = "")
number <- function(name, value) sprintf('"%s": %.10g', name, value)
now <- function() as.numeric(Sys.time())

arguments <- commandArgs(trailingOnly = TRUE)
formula <- as.formula(arguments[2])
reml <- arguments[3] == "reml"
refits <- as.integer(arguments[4])
package <- arguments[5]
family <- arguments[6]
inflation <- as.formula(arguments[7])
if (package == "glmmTMB") suppressMessages(library(glmmTMB))
imported <- memory("VmRSS")

data <- read.csv(arguments[1])
for (bar in findbars(formula)) for (group in all.vars(bar[[3]])) data[[group]] <- factor(data[[group]])
invisible(gc())

quietly <- function(x) suppressWarnings(suppressMessages(x))
fit <- function() {
  if (package == "glmmTMB")
    return(quietly(glmmTMB(formula, data, family, inflation, REML = reml && family == "gaussian")))
  if (family == "gaussian") return(quietly(lmer(formula, data, REML = reml)))
  if (!family %in% c("binomial", "poisson")) stop("no family ", family)
  quietly(glmer(formula, data, family))
}
if (refits > 0) {
  set.seed(1)
  first <- fit()
  base <- data[[all.vars(formula)[1]]]
  responses <- lapply(seq_len(refits), function(i) base + rnorm(length(base), sd = 10))
}
call <- function() {
  if (refits == 0) return(fit())
  for (y in responses) last <- suppressWarnings(suppressMessages(refit(first, y)))
  last
}

evaluations <- function(result) {
  if (package == "glmmTMB") result$fit$evaluations[["function"]] else result@optinfo$feval
}

cat("5", file = "/proc/self/clear_refs")
loaded <- memory("VmRSS")
requests <- file("stdin", "r")
while (length(readLines(requests, n = 1)) > 0) {
  start <- now()
  result <- call()
  seconds <- (now() - start) / max(refits, 1)
  answer(number("seconds", seconds), number("loglik", as.numeric(logLik(result))),
         number("evaluations", evaluations(result)))
}
answer(number("rss_import", imported), number("rss_data", loaded),
       number("rss_peak", memory("VmHWM")), '"design_seconds": null')
