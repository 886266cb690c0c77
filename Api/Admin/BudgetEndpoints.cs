using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Limits;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Admin;

/// <param name="Scope"><c>user</c> (each user), <c>feature</c>, <c>tenant</c> (for the platform: each tenant), <c>service</c> (the platform only).</param>
/// <param name="Unit"><c>usd</c> or <c>tokens</c>.</param>
/// <param name="Period"><c>minute</c>, <c>hour</c>, <c>day</c> or <c>month</c>, of UTC.</param>
/// <param name="Limit">In the unit; calls that would exceed it are refused.</param>
/// <param name="Selector">The feature's name, or for <c>user</c> a tier's name; null there means every user.</param>
/// <param name="SoftPercent">Percent of the limit at which a warning is sent. Default 80; null: none.</param>
/// <param name="Action"><c>refuse</c> until the period ends (the default), or <c>trip</c>: switched off until a person switches it on.</param>
public sealed record BudgetRequest(string Scope, string Unit, string Period, decimal Limit, string? Selector = null, int? SoftPercent = 80, string? Action = null);

/// <param name="Source"><c>tenant</c>, or <c>platform</c> for one that holds for all.</param>
public sealed record BudgetResponse(
    string Name, string Object, string Source, string Scope, string? Selector, string Unit, string Period, decimal Limit, int? SoftPercent, string Action, DateTimeOffset ChangedAt);

internal static class BudgetEndpoints
{
    private const string PlatformQuery = "platform";
    private const decimal Most = 9_000_000m;
    private static readonly string[] Fields = ["scope", "selector", "unit", "period", "limit", "soft_percent", "action"];

    public static void MapBudgets(this IEndpointRouteBuilder admin)
    {
        var budgets = admin.MapGroup("/budgets").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        budgets.MapGet("/", ListAsync).WithName("listBudgets").WithSummary("The budgets that hold for a tenant: its own and the platform's.");
        budgets.MapPut("/{name}", PutAsync).WithName("setBudget").WithSummary("Set a budget; every replica holds it within a second.")
            .Accepts<BudgetRequest>("application/json");
        budgets.MapDelete("/{name}", DeleteAsync).WithName("deleteBudget").WithSummary("Remove a budget.");
    }

    private static async Task<Ok<ListResponse<BudgetResponse>>> ListAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, [FromQuery(Name = PlatformQuery)] bool? platform, Administration administration, CancellationToken cancellationToken)
    {
        var rows = await administration.ReadAsync(
            OwnerOf(tenantId, platform, administration), (db, token) => db.Budgets.AsNoTracking().OrderBy(b => b.Name).ToListAsync(token), cancellationToken);
        return TypedResults.Ok(new ListResponse<BudgetResponse>("list", [.. rows.Select(Response)], HasMore: false));
    }

    private static async Task<Ok<BudgetResponse>> PutAsync(
        string name, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, [FromQuery(Name = PlatformQuery)] bool? platform,
        HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, Fields, cancellationToken);
        var budget = Read(name, OwnerOf(tenantId, platform, administration), fields, time);
        await administration.AuditedAsync(
            http,
            budget.TenantId,
            async (db, entry, token) =>
            {
                // One statement, so that two who set it at once do not meet on the name. Other things added up are another counter.
                await db.Database.ExecuteSqlAsync(
                    $"""
                    INSERT INTO aiaspire.budgets AS b (tenant_id, budget_id, name, scope, selector, unit, period, "limit", soft_percent, action, changed_at)
                    VALUES ({budget.TenantId}, {budget.BudgetId}, {budget.Name}, {budget.Scope.ToString()}, {budget.Selector}, {budget.Unit.ToString()},
                        {budget.Period.ToString()}, {budget.Limit}, {budget.SoftPercent}, {budget.Action.ToString()}, {budget.ChangedAt})
                    ON CONFLICT (tenant_id, name) DO UPDATE SET
                        budget_id = CASE WHEN (b.scope, b.selector, b.unit, b.period) IS NOT DISTINCT FROM (excluded.scope, excluded.selector, excluded.unit, excluded.period)
                            THEN b.budget_id ELSE excluded.budget_id END,
                        scope = excluded.scope, selector = excluded.selector, unit = excluded.unit, period = excluded.period, "limit" = excluded."limit",
                        soft_percent = excluded.soft_percent, action = excluded.action, changed_at = excluded.changed_at
                    """,
                    token);
                await db.NotifyChangedAsync(BudgetBook.Topic, token);
                return (budget, About(entry, AuditActions.BudgetChanged, budget));
            },
            cancellationToken);
        return TypedResults.Ok(Response(budget));
    }

    private static async Task<NoContent> DeleteAsync(
        string name, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, [FromQuery(Name = PlatformQuery)] bool? platform,
        HttpContext http, Administration administration, CancellationToken cancellationToken)
    {
        var owner = OwnerOf(tenantId, platform, administration);
        await administration.AuditedAsync(
            http,
            owner,
            async (db, entry, token) =>
            {
                var budget = await db.Budgets.AsNoTracking().SingleOrDefaultAsync(b => b.TenantId == owner && b.Name == name, token)
                    ?? throw Administration.NotFound("budget", "name");
                await db.Budgets.Where(b => b.TenantId == owner && b.Name == name).ExecuteDeleteAsync(token);
                await db.NotifyChangedAsync(BudgetBook.Topic, token);
                return (budget, About(entry, AuditActions.BudgetDeleted, budget));
            },
            cancellationToken);
        return TypedResults.NoContent();
    }

    private static Guid OwnerOf(Guid? tenantId, bool? platform, Administration administration)
    {
        if (platform != true)
            return administration.TenantOf(tenantId);
        return administration.IsOperator
            ? TenantScope.PlatformTenantId
            : throw new WireException(403, "permission_error", "insufficient_role", "Only an operator sets budgets of the platform.", PlatformQuery);
    }

    private static Budget Read(string name, Guid owner, AdminFields fields, TimeProvider time)
    {
        if (name.Length > 63 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw WireException.BadRequest("'name' must be at most 63 letters, digits, hyphens, underscores and dots.", "name", "invalid_value");
        var unit = fields.Choice<BudgetUnit>("unit") ?? throw Missing("unit");
        var budget = new Budget
        {
            TenantId = owner,
            BudgetId = time.NewId(),
            Name = name,
            Scope = fields.Choice<BudgetScope>("scope") ?? throw Missing("scope"),
            Selector = fields.Text("selector"),
            Unit = unit,
            Period = fields.Choice<LimitPeriod>("period") ?? throw Missing("period"),
            Limit = fields.Number("limit", 0, unit == BudgetUnit.Usd ? Most : Most * 1_000_000m) ?? throw Missing("limit"),
            SoftPercent = fields.Has("soft_percent") ? (int?)fields.Whole("soft_percent", 1, 100) : 80,
            Action = fields.Choice<BudgetAction>("action") ?? BudgetAction.Refuse,
            ChangedAt = time.GetUtcNow(),
        };
        if (budget.Scope == BudgetScope.Feature && budget.Selector is null)
            throw WireException.BadRequest("'selector' must name the feature.", "selector", "missing_field");
        if (budget.Scope is BudgetScope.Tenant or BudgetScope.Service && budget.Selector is not null)
            throw WireException.BadRequest($"'selector' means nothing for the scope {AdminFields.Word(budget.Scope)}.", "selector", "invalid_value");
        if (budget.Scope == BudgetScope.Service && owner != TenantScope.PlatformTenantId)
            throw WireException.BadRequest("A budget of the whole service is the platform's: add ?platform=true, as an operator.", "scope", "invalid_value");
        if (budget.Action == BudgetAction.Trip && !Budget.CanTrip(owner, budget.Scope))
            throw WireException.BadRequest("Only the platform's budgets of a feature, tenant or the service can trip; others refuse.", "action", "invalid_value");
        return budget;
    }

    private static WireException Missing(string field) => WireException.BadRequest($"'{field}' is missing.", field, "missing_field");

    private static AuditEvent About(AuditEvent entry, string action, Budget budget) => entry with
    {
        Action = action,
        TargetKind = "budget",
        TargetId = budget.Name,
        Details = new JsonObject
        {
            ["scope"] = AdminFields.Word(budget.Scope),
            ["selector"] = budget.Selector,
            ["unit"] = AdminFields.Word(budget.Unit),
            ["period"] = AdminFields.Word(budget.Period),
            ["limit"] = budget.Limit,
            ["soft_percent"] = budget.SoftPercent,
            ["action"] = AdminFields.Word(budget.Action),
        },
    };

    private static BudgetResponse Response(Budget budget) => new(
        budget.Name,
        "budget",
        budget.TenantId == TenantScope.PlatformTenantId ? "platform" : "tenant",
        AdminFields.Word(budget.Scope),
        budget.Selector,
        AdminFields.Word(budget.Unit),
        AdminFields.Word(budget.Period),
        budget.Limit,
        budget.SoftPercent,
        AdminFields.Word(budget.Action),
        budget.ChangedAt);
}
