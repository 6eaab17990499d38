# Tables of type I, II, III (lmerTest) and Wald chi-square and F tables of car, on unbalanced designs
source("common.R")
suppressPackageStartupMessages(library(lmerTest))

lmertest <- function(m, ddf) lapply(c(`1` = "I", `2` = "II", `3` = "III"), function(type) {
  table <- as.data.frame(anova(m, type = type, ddf = ddf))
  names(table) <- c("sum_sq", "mean_sq", "num_df", "den_df", "statistic", "p_value")
  with_terms(table)
})
car_chisq <- function(m) lapply(c(`2` = "II", `3` = "III"), function(type) {
  table <- as.data.frame(car::Anova(m, type = type)); names(table) <- c("statistic", "df", "p_value"); with_terms(table)
})
car_f <- function(m) lapply(c(`2` = "II", `3` = "III"), function(type) {
  table <- as.data.frame(car::Anova(m, type = type, test.statistic = "F"))
  names(table) <- c("statistic", "num_df", "den_df", "p_value"); with_terms(table)
})
cases <- list()
add <- function(id, name, f, reml = TRUE, weights = NULL, contrasts = NULL, kenward = reml && is.null(weights), car = TRUE) {
  m <- fit(f, read_data(name), reml, weights, contrasts)
  t <- as_lmerModLmerTest(m)
  out <- list(basics = basics(m), satterthwaite = lmertest(t, "Satterthwaite"))
  if (kenward) out$kenward_roger <- lmertest(t, "Kenward-Roger")
  if (car) out$car_chisq <- car_chisq(m)
  if (car && kenward) out$car_f_kenward_roger <- car_f(m)
  cases[[id]] <<- case(name, f, out, reml, weights, contrasts)
  cat(id, "\n")
}
sums <- list(a = "contr.sum", b = "contr.sum")
add("factor_by_covariate", "factorial", y ~ a * b + b * x + (1 | g))
add("factor_by_covariate_sum", "factorial", y ~ a * b + b * x + (1 | g), contrasts = sums)
add("three_way", "factorial", y ~ a * b * x + (1 | g))
add("three_way_ml", "factorial", y ~ a * b * x + (1 | g), reml = FALSE)
add("three_way_weights", "factorial", y ~ a * b * x + (1 | g), weights = "w")
add("covariate_first", "factorial", y ~ x + b:x + b + a + a:b + (1 | g))
add("interaction_without_main", "factorial", y ~ a + a:b + x + (1 | g), car = FALSE)
add("slope_without_main", "factorial", y ~ a + a:x + (1 | g), car = FALSE)
add("no_intercept", "factorial", y ~ 0 + a + b + x + (1 | g), car = FALSE)
add("no_intercept_interaction", "factorial", y ~ 0 + a:b + x + (1 | g), car = FALSE)
add("covariates_only", "factorial", y ~ x * w + (1 | g))
add("polynomial", "factorial", y ~ a * poly(x, 2) + b + (1 | g), car = FALSE)
add("empty_cell", "empty_cell", y ~ a * b + x + (1 | g), car = FALSE)
add("additive_empty_cell", "empty_cell", y ~ a + b + x + (1 | g))
add("crossed", "crossed", y ~ arm * cond * time + age + (time | subject) + (1 | item))
add("nested", "schools", y ~ method * x + (1 | school/class) + (1 | rater))
add("oats_missing_row_order", "oats", yield ~ Variety * nitro + I(nitro^2) + (1 | Block/Variety))
store("anova", cases, c("lme4", "lmerTest", "pbkrtest", "car"),
      list(type3 = "lmerTest's type III does not depend on the coding; car's type III tests the coefficients as coded",
           empty_cell = "a column is dropped: what lmerTest says of types II and III there is its own choice of hypotheses"))
