# Estimated marginal means, contrasts, adjustments, trends and joint tests of the R package emmeans
source("common.R")
suppressPackageStartupMessages({ library(emmeans); library(multcomp) })
emm_options(lmer.df = "satterthwaite", pbkrtest.limit = 1e5, lmerTest.limit = 1e5)
set.seed(1)

df_word <- function(mode) c(satterthwaite = "satterthwaite", `kenward-roger` = "kenward-roger", asymptotic = "asymptotic")[[mode]]

tabulate_ <- function(object, ...) {
  table <- as.data.frame(summary(object, infer = c(TRUE, TRUE), ...))
  attributes(table) <- attributes(table)[c("names", "row.names", "class")]
  class(table) <- "data.frame"
  by_column(table)
}

# P(max |T| <= c) by quadrature over the chi of the common scale: emmeans rounds the degrees of
# freedom down and draws at random with error 1e-3, this is good to about 1e-6
max_t <- function(c, correlation, df) {
  normal <- function(c) mvtnorm::pmvnorm(rep(-c, nrow(correlation)), rep(c, nrow(correlation)), corr = correlation,
                                         algorithm = mvtnorm::GenzBretz(maxpts = 5e5, abseps = 1e-6))
  if (!is.finite(df)) return(normal(c))
  u <- (seq_len(40) - 0.5) / 40
  rule <- gauss_legendre(24)
  sum(rule$w * vapply(rule$u, function(p) normal(c * sqrt(qchisq(p, df) / df)), 0))
}
gauss_legendre <- function(n) {
  k <- seq_len(n - 1); off <- k / sqrt(4 * k^2 - 1)
  e <- eigen(diag(0, n) + rbind(cbind(0, diag(off)), 0) + t(rbind(cbind(0, diag(off)), 0)), symmetric = TRUE)
  list(u = (e$values + 1) / 2, w = e$vectors[1, ]^2)
}
exact_mvt <- function(contrasts) {
  table <- as.data.frame(summary(contrasts, adjust = "none"))
  correlation <- cov2cor(vcov(contrasts)); df <- table$df
  list(p.value = vapply(seq_along(df), function(i) 1 - max_t(abs(table$t.ratio[i]), correlation, df[i]), 0),
       critical = vapply(df, function(d) uniroot(function(c) max_t(c, correlation, d) - 0.95, c(1.5, 8), tol = 1e-6)$root, 0))
}

# One request and its answer: means, and contrasts with each adjustment
request <- function(m, specs, by = NULL, at = NULL, weights = "equal", method = NULL, adjust = "none",
                    mode = "satterthwaite", ref = NULL, reverse = FALSE, type = NULL, exact = FALSE) {
  arguments <- list(m, specs = specs, weights = weights, mode = mode)
  if (!is.null(by)) arguments$by <- by
  if (!is.null(at)) arguments$at <- at
  if (!is.null(type)) arguments$type <- type
  means <- do.call(emmeans, arguments)
  asked <- list(specs = I(specs), by = by, at = at, weights = weights, df = mode, method = method, ref = ref, type = type)
  out <- c(asked[!vapply(asked, is.null, NA)], list(means = tabulate_(means)))
  if (!is.null(method)) {
    chosen <- c(list(means, method = method), if (!is.null(ref)) list(ref = ref), if (!is.null(by)) list(by = by))
    contrasts <- do.call(contrast, chosen)
    out$contrasts <- lapply(setNames(nm = adjust), function(a) suppressMessages(tabulate_(contrasts, adjust = a)))
    if (exact) out$mvt_exact <- exact_mvt(contrasts)
  }
  out
}
letters_of <- function(m, specs, ...) {
  means <- emmeans(m, specs, ...)
  table <- as.data.frame(cld(means, Letters = letters))
  list(specs = I(specs), method = "tukey", level = 0.05,
       table = by_column(data.frame(table[specs], emmean = table$emmean, group = trimws(table$.group))))
}
joint <- function(m, ..., mode = "satterthwaite") by_column(as.data.frame(joint_tests(m, ..., mode = mode))[1:5])
trends <- function(m, specs, var, at = NULL, by = NULL, mode = "satterthwaite", method = "pairwise", adjust = "tukey") {
  arguments <- list(m, specs = specs, var = var, mode = mode)
  if (!is.null(at)) arguments$at <- at
  slopes <- do.call(emtrends, arguments)
  out <- list(specs = I(as.character(specs)), var = var, at = at, df = mode, slopes = tabulate_(slopes))
  if (!is.null(method)) out$contrasts <- lapply(setNames(nm = adjust), function(a) suppressMessages(tabulate_(contrast(slopes, method), adjust = a)))
  out
}

all_adjust <- c("none", "tukey", "mvt", "scheffe", "sidak", "holm", "hochberg", "BH", "bonferroni")
many <- c("none", "dunnettx", "mvt", "sidak", "holm", "bonferroni", "scheffe")
cases <- list()

# Balanced split plot
f <- yield ~ nitroF * Variety + (1 | Block/Variety)
m <- fit(f, read_data("oats"))
custom <- list(`low vs high` = c(0.5, 0.5, -0.5, -0.5), `0 vs rest` = c(1, -1 / 3, -1 / 3, -1 / 3))
cases$oats <- case("oats", f, list(
  basics = basics(m),
  nitro_pairwise = request(m, "nitroF", method = "pairwise", adjust = all_adjust, exact = TRUE),
  nitro_pairwise_kr = request(m, "nitroF", method = "pairwise", adjust = c("tukey", "mvt"), mode = "kenward-roger"),
  nitro_pairwise_z = request(m, "nitroF", method = "pairwise", adjust = c("tukey", "scheffe"), mode = "asymptotic"),
  nitro_revpairwise = request(m, "nitroF", method = "revpairwise", adjust = "tukey"),
  nitro_control = request(m, "nitroF", method = "trt.vs.ctrl", adjust = many, exact = TRUE),
  nitro_control_3 = request(m, "nitroF", method = "trt.vs.ctrl", ref = 3, adjust = c("none", "dunnettx", "mvt"), exact = TRUE),
  nitro_control_kr = request(m, "nitroF", method = "trt.vs.ctrl", adjust = c("dunnettx", "mvt"), mode = "kenward-roger", exact = TRUE),
  nitro_consec = request(m, "nitroF", method = "consec", adjust = c("none", "mvt"), exact = TRUE),
  nitro_poly = request(m, "nitroF", method = "poly", adjust = "none"),
  nitro_eff = request(m, "nitroF", method = "eff", adjust = c("none", "BH")),
  nitro_del_eff = request(m, "nitroF", method = "del.eff", adjust = "none"),
  nitro_mean_chg = request(m, "nitroF", method = "mean_chg", adjust = "none"),
  nitro_custom = request(m, "nitroF", method = custom, adjust = c("none", "scheffe", "sidak")),
  nitro_by_variety = request(m, "nitroF", by = "Variety", method = "pairwise", adjust = c("none", "tukey", "holm", "scheffe", "sidak", "BH"), exact = FALSE),
  variety = request(m, "Variety", method = "pairwise", adjust = c("tukey", "scheffe", "bonferroni"), mode = "kenward-roger"),
  cells = request(m, c("nitroF", "Variety")),
  letters_nitro = letters_of(m, "nitroF"),
  joint = joint(m), joint_kr = joint(m, mode = "kenward-roger"), joint_by_variety = joint(m, by = "Variety")), custom = custom)

# Unbalanced, with an interaction, a covariate and a slope that differs
f <- y ~ a * b + b * x + (1 | g)
m <- fit(f, read_data("factorial"))
reweighted <- function(w) request(m, "a", weights = w, method = "pairwise", adjust = c("none", "tukey"))
cases$factorial <- case("factorial", f, list(
  basics = basics(m),
  a = request(m, "a", method = "pairwise", adjust = all_adjust, exact = TRUE),
  a_kr = request(m, "a", method = "pairwise", adjust = c("tukey", "scheffe"), mode = "kenward-roger"),
  a_control = request(m, "a", method = "trt.vs.ctrl", adjust = many, exact = TRUE),
  a_consec = request(m, "a", method = "consec", adjust = c("none", "mvt"), exact = TRUE),
  a_poly = request(m, "a", method = "poly", adjust = "none"),
  a_proportional = reweighted("proportional"), a_cells = reweighted("cells"), a_outer = reweighted("outer"),
  b = request(m, "b", method = "pairwise", adjust = "none"),
  a_by_b = request(m, "a", by = "b", method = "pairwise", adjust = c("tukey", "none", "mvt", "holm")),
  a_by_b_control = request(m, "a", by = "b", method = "trt.vs.ctrl", adjust = c("none", "dunnettx", "mvt")),
  cells = request(m, c("a", "b"), method = "pairwise", adjust = c("tukey", "scheffe")),
  a_at_x = request(m, "a", at = list(x = 2)),
  x_by_b = request(m, c("x", "b"), at = list(x = c(2, 5))),
  b_at_a = request(m, "b", at = list(a = c("low", "high")), method = "pairwise", adjust = "none"),
  interaction = by_column(as.data.frame(summary(contrast(emmeans(m, c("a", "b")), interaction = "pairwise"), infer = c(TRUE, TRUE)))),
  slopes_by_b = trends(m, "b", "x"), slopes_by_b_kr = trends(m, "b", "x", mode = "kenward-roger"),
  letters_a = letters_of(m, "a"), letters_cells = letters_of(m, c("a", "b")),
  joint = joint(m), joint_kr = joint(m, mode = "kenward-roger"), joint_by_b = joint(m, by = "b")))

# Case weights of the precision sort
m <- fit(f, read_data("factorial"), weights = "w")
cases$factorial_weights <- case("factorial", f, list(basics = basics(m),
  a = request(m, "a", method = "pairwise", adjust = c("none", "tukey")),
  slopes_by_b = trends(m, "b", "x")), weights = "w")

# One cell empty: what involves it is not estimable
f <- y ~ a * b + x + (1 | g)
m <- fit(f, read_data("empty_cell"))
cases$empty_cell <- case("empty_cell", f, list(basics = basics(m),
  a = request(m, "a", method = "pairwise", adjust = "none"), b = request(m, "b"),
  cells = request(m, c("a", "b")), a_by_b = request(m, "a", by = "b", method = "pairwise", adjust = "none"),
  joint = joint(m)))

# Numeric covariate with a quadratic term
f <- distance ~ Sex * age + I(age^2) + (age | Subject)
m <- fit(f, read_data("orthodont"))
cases$orthodont_quadratic <- case("orthodont", f, list(basics = basics(m),
  sex = request(m, "Sex", method = "pairwise", adjust = "none"),
  ages = request(m, "age", at = list(age = c(8, 11, 14))),
  sex_by_age = request(m, "Sex", by = "age", at = list(age = c(8, 14)), method = "pairwise", adjust = "none"),
  slopes = trends(m, "Sex", "age", adjust = "none"),
  slopes_at_9 = trends(m, "Sex", "age", at = list(age = 9), adjust = "none")))

f <- Reaction ~ poly(Days, 2) + (Days | Subject)
m <- fit(f, read_data("sleepstudy"))
cases$sleepstudy_poly <- case("sleepstudy", f, list(basics = basics(m),
  days = request(m, "Days", at = list(Days = c(0, 3, 9)), method = "consec", adjust = "none"),
  slope_at = lapply(c(`0` = 0, `3` = 3, `9` = 9), function(d) trends(m, "1", "Days", at = list(Days = d), method = NULL))))

# Trends in three recipes
f <- angle ~ recipe * temp + (1 | replicate) + (1 | recipe:replicate)
m <- fit(f, read_data("cake"))
cases$cake <- case("cake", f, list(basics = basics(m),
  recipe = request(m, "recipe", method = "pairwise", adjust = c("tukey", "mvt"), exact = TRUE),
  slopes = trends(m, "recipe", "temp", adjust = c("none", "tukey", "holm")),
  slopes_kr = trends(m, "recipe", "temp", mode = "kenward-roger"),
  recipe_at = request(m, "recipe", by = "temp", at = list(temp = c(180, 220)), method = "trt.vs.ctrl", adjust = c("dunnettx", "none")),
  joint = joint(m)))

# Transformed response
f <- log(z) ~ a * b + x + (1 | g)
m <- fit(f, read_data("factorial"))
cases$log_response <- case("factorial", f, list(basics = basics(m),
  a_link = request(m, "a"), a_response = request(m, "a", type = "response", method = "pairwise", adjust = c("none", "tukey")),
  a_by_b_response = request(m, "a", by = "b", type = "response", method = "trt.vs.ctrl", adjust = "dunnettx")))
f <- sqrt(z) ~ a + b + (1 | g)
m <- fit(f, read_data("factorial"))
cases$sqrt_response <- case("factorial", f, list(basics = basics(m), a_response = request(m, "a", type = "response", method = "pairwise", adjust = "none")))

# Three factors, crossed and nested random terms
ham <- registry$ham
f <- Informed.liking ~ Gender * Information * Product + (1 | Consumer) + (1 | Consumer:Product)
m <- fit(f, read_data("ham"))
cases$ham <- case("ham", f, list(basics = basics(m),
  product = request(m, "Product", method = "pairwise", adjust = c("tukey", "BH")),
  product_by = request(m, "Product", by = c("Gender", "Information"), method = "pairwise", adjust = "tukey"),
  letters_product = letters_of(m, "Product"), joint = joint(m)))

# Slopes by subject and item
f <- y ~ arm * cond + time + age + (time | subject) + (time | item)
m <- fit(f, read_data("crossed"))
cases$crossed <- case("crossed", f, list(basics = basics(m),
  cond = request(m, "cond", method = "pairwise", adjust = c("tukey", "mvt", "scheffe")),
  cond_kr = request(m, "cond", method = "pairwise", adjust = c("tukey", "none"), mode = "kenward-roger"),
  arm_by_cond = request(m, "arm", by = "cond", method = "pairwise", adjust = "none"),
  joint = joint(m), joint_kr = joint(m, mode = "kenward-roger")))

store("emmeans", cases, c("lme4", "lmerTest", "pbkrtest", "emmeans", "multcomp", "multcompView", "mvtnorm"),
      list(mvt = "the adjusted p of emmeans is drawn (error 1e-3) at degrees of freedom rounded down; mvt_exact is quadrature at the degrees of freedom as they are, limits are estimate -+ critical * SE"))
