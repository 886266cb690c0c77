using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <summary>Every week from one time to the other, in UTC; not after the start: over the weekend into the next week.</summary>
/// <param name="From">As <c>mon 08:00</c>.</param>
/// <param name="Until">As <c>fri 18:00</c>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record OnCallShift(string? From, string? Until);

/// <param name="Shifts">Absent or empty: always.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record OnCallPerson(string? Name, string? Email, OnCallShift[]? Shifts = null);

/// <param name="Contacts">In the order in which they are asked, at most 50.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record OnCallRequest(OnCallPerson[]? Contacts);

/// <param name="Now">Who is on call now; null when the rota is empty.</param>
public sealed record OnCallResponse(string Object, IReadOnlyList<OnCallPerson> Contacts, OnCallPerson? Now);

internal static class OnCallEndpoints
{
    private const int MaxContacts = 50;
    private const int MaxShifts = 50;
    private static readonly string[] Days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    public static void MapOnCall(this IEndpointRouteBuilder admin)
    {
        var rota = admin.MapGroup("/on-call").RequireAuthorization(Policies.Operator).WithTags("Admin");
        rota.MapGet("/", GetAsync).WithName("retrieveOnCall").WithSummary("The rota, and who is on call now.");
        rota.MapPut("/", PutAsync).WithName("setOnCall").WithSummary("Replace the rota.");
    }

    private static async Task<Ok<OnCallResponse>> GetAsync(TenantSessions sessions, TimeProvider time, CancellationToken cancellationToken)
        => TypedResults.Ok(await ReadAsync(sessions, time, cancellationToken));

    private static async Task<Ok<OnCallResponse>> PutAsync(
        OnCallRequest request, HttpContext http, RequestCaller caller, TenantSessions sessions, TimeProvider time, CancellationToken cancellationToken)
    {
        var contacts = request.Contacts ?? throw WireException.BadRequest("'contacts' is missing.", "contacts", "missing_field");
        if (contacts.Length > MaxContacts)
            throw Wrong("contacts", $"at most {MaxContacts}");
        var rota = contacts.Select(Contact).ToList();
        var entry = caller.Value.Audit(http, time, "on_call.changed", TenantScope.PlatformTenantId) with { Details = new JsonObject { ["contacts"] = rota.Count } };
        await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                await db.ReplaceRotaAsync(rota, token);
                await db.AppendAuditAsync(entry, token);
            },
            cancellationToken);
        return TypedResults.Ok(await ReadAsync(sessions, time, cancellationToken));
    }

    private static async Task<OnCallResponse> ReadAsync(TenantSessions sessions, TimeProvider time, CancellationToken cancellationToken)
    {
        var (rota, onCall) = await sessions.Open(TenantScope.Platform).RunAsync((db, token) => db.ReadRotaAsync(time.GetUtcNow(), token), cancellationToken);
        return new OnCallResponse("on_call", [.. rota.Select(Person)], onCall is null ? null : Person(onCall));
    }

    private static OnCallContact Contact(OnCallPerson? person, int position)
    {
        var field = $"contacts[{position}]";
        if (person?.Name is not { Length: > 0 and <= 200 } name || name.Any(char.IsControl))
            throw Wrong($"{field}.name", "1 to 200 characters of text");
        var shifts = person.Shifts ?? [];
        if (shifts.Length > MaxShifts)
            throw Wrong($"{field}.shifts", $"at most {MaxShifts}");
        return new OnCallContact
        {
            TenantId = TenantScope.PlatformTenantId,
            Position = position,
            Name = name,
            Email = NotificationRequestReader.MailAddress(person.Email, $"{field}.email"),
            ShiftStarts = [.. shifts.Select((s, i) => Minute(s?.From, $"{field}.shifts[{i}].from"))],
            ShiftEnds = [.. shifts.Select((s, i) => Minute(s?.Until, $"{field}.shifts[{i}].until"))],
        };
    }

    private static int Minute(string? text, string field)
        => text?.Split(' ') is [var day, var hour] && Array.IndexOf(Days, day) is >= 0 and var index
            && TimeOnly.TryParseExact(hour, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
                ? (index * 24 * 60) + (time.Hour * 60) + time.Minute
                : throw Wrong(field, "a day and a time in UTC such as 'mon 08:00'");

    private static string Text(int minute) => $"{Days[minute / (24 * 60)]} {minute / 60 % 24:00}:{minute % 60:00}";

    private static OnCallPerson Person(OnCallContact contact) => new(
        contact.Name, contact.Email, [.. contact.ShiftStarts.Zip(contact.ShiftEnds, (from, until) => new OnCallShift(Text(from), Text(until)))]);

    private static WireException Wrong(string field, string must) => WireException.BadRequest($"'{field}' must be {must}.", field, "invalid_value");
}
