# Takes one step after a fit with lme4 and the packages around it, as infer_one.py does:
#   Rscript infer_one.R DATA.csv FORMULA reml|ml STEP THREADS
suppressPackageStartupMessages(library(lme4))

answer <- function(...) cat("JSON {", paste(..., sep = ", "), "}\n", sep = "")
number <- function(name, value) sprintf('"%s": %.10g', name, value)
now <- function() as.numeric(Sys.time())

arguments <- commandArgs(trailingOnly = TRUE)
formula <- as.formula(arguments[2])
reml <- arguments[3] == "reml"
name <- sub("_([0-9]+|insteval|crossed)$", "", arguments[4])
threads <- as.integer(arguments[5])
data <- read.csv(arguments[1])
for (bar in findbars(formula)) for (group in all.vars(bar[[3]])) data[[group]] <- factor(data[[group]])

statistics <- function(m) c(fixef(m), sigma(m), getME(m, "theta"))
bootstrap <- function(m, ...) sd(bootMer(m, statistics, nsim = 1000, seed = 1, ...)$t[, 2])
largest_cook <- function(m, group) {
  i <- influence(m, groups = group); k <- nlevels(data[[group]]); p <- length(fixef(m))
  max(cooks.distance(i)) * k / (k - p)      # lme4 multiplies by (k - p) / k
}
steps <- list(
  bootstrap = bootstrap,
  bootstrap_multicore = function(m) bootstrap(m, parallel = "multicore", ncpus = threads),
  # the adjusted covariance once, then each row: what lmerTest does for its table, without its repeats
  kenward_roger = function(m) {
    adjusted <- pbkrtest::vcovAdj(m); V <- vcov(m); p <- length(fixef(m))
    df <- vapply(seq_len(p), function(i) pbkrtest::Lb_ddf(replace(numeric(p), i, 1), V, adjusted), 0)
    df[names(fixef(m)) == "condition"]
  },
  satterthwaite = function(m) {
    table <- coef(summary(lmerTest::as_lmerModLmerTest(m)))
    table[rownames(table) %in% c("condition", "service"), "df"]
  },
  anova = function(m) anova(lmerTest::as_lmerModLmerTest(m), type = 3)["nitroF", "F value"],
  profile = function(m) confint(m, method = "profile", quiet = TRUE)["Days", 1],
  influence = function(m) largest_cook(m, if ("item" %in% names(data)) "item" else "Subject"),
  emmeans = function(m) {
    table <- as.data.frame(pairs(emmeans::emmeans(m, "nitroF", lmer.df = "satterthwaite"), adjust = "tukey"))
    min(table$t.ratio)
  },
  exact_test = function(m) unname(RLRsim::exactRLRT(m, nsim = 10000)$statistic)
)
for (package in c("pbkrtest", "lmerTest", "emmeans", "RLRsim")) requireNamespace(package, quietly = TRUE)

requests <- file("stdin", "r")
while (length(readLines(requests, n = 1)) > 0) {
  start <- now()
  m <- suppressWarnings(suppressMessages(lmer(formula, data, REML = reml)))
  middle <- now()
  result <- suppressWarnings(suppressMessages(steps[[name]](m)))
  answer(number("seconds", now() - middle), number("fit_seconds", middle - start), number("answer", result))
}
answer('"done": true')
