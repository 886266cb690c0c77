using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using AiAspire.Api;
using AiAspire.Api.Admin;
using AiAspire.Api.Audit;
using AiAspire.Api.Batches;
using AiAspire.Api.Chat;
using AiAspire.Api.Conversations;
using AiAspire.Api.DataProtection;
using AiAspire.Api.Edge;
using AiAspire.Api.Embeddings;
using AiAspire.Api.Feedback;
using AiAspire.Api.Files;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Api.Jobs;
using AiAspire.Api.Models;
using AiAspire.Api.Moderations;
using AiAspire.Api.Usage;
using AiAspire.Core.Audit;
using AiAspire.Core.Batches;
using AiAspire.Core.Chat;
using AiAspire.Core.Conversations;
using AiAspire.Core.Files;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Notifications;
using AiAspire.Core.Privacy;
using AiAspire.Core.Schedules;
using AiAspire.ServiceDefaults;
using Scalar.AspNetCore;

var builder = WebApplication.CreateBuilder(args);
builder.Configuration.AddShippedCatalog();
builder.AddServiceDefaults();
builder.AddEdge();
builder.AddConnections();

builder.Services.AddChat(HttpServiceDiscovery.Before);
builder.Services.AddIdempotency();
builder.Services.AddJobs();
builder.Services.AddCallJobs();
builder.Services.AddFiles();
builder.Services.AddBatches();
builder.Services.AddScoped<JobReader>();
builder.Services.AddSingleton<JobEventSignal>();
builder.Services.AddHostedService(provider => provider.GetRequiredService<JobEventSignal>());
builder.Services.AddAudit();
builder.Services.AddNotifications();
builder.Services.AddIdentity();
builder.Services.AddSingleton<UserErasure>();
builder.Services.AddSharedKeyRing();
builder.Services.AddScoped<Administration>();
builder.Services.AddSingleton<ScheduleBook>();
builder.Services.AddSingleton<Retention>();
builder.Services.AddScoped<RequestClaim>();
builder.Services.AddScoped<ModelCalls>();
builder.Services.AddSingleton<NotificationRequestReader>();
builder.Services.AddOpenApiDocument();
builder.Services.ConfigureHttpJsonOptions(json =>
{
    json.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
    // Not a number in quotes, which the model endpoints refuse as well.
    json.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
    json.SerializerOptions.Converters.Add(new PlainDecimalConverter());
    // Answers are JSON and declared so, never part of a page: names of people and files may be read as they are.
    json.SerializerOptions.Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;
});
// Everywhere as in development: what could not be read is told by the errors' middleware, with the field at fault.
builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);

if (builder.BuildWithUsableSettings() is not { } app)
    return 1;
app.UseEdge();
app.UseMiddleware<LoginAudit>();
app.UseAuthentication();
app.UseMiddleware<CallerLogging>();
app.UseAuthorization();
app.UseMiddleware<IdempotencyMiddleware>();

app.MapDefaultEndpoints();
app.MapOpenApi().AllowAnonymous();
// The page's buttons for Scalar's own services would lead nowhere: it loads nothing from elsewhere.
app.MapScalarApiReference(page => page.DisableDefaultFonts().WithNonce().HideDeveloperTools().HideClientButton().DisableAgent().DisableMcp().DisableTelemetry()).AllowAnonymous();
// Whoever opens the printed address in a browser wants to see what is there.
app.MapGet("/", () => Results.Redirect("/scalar")).AllowAnonymous().ExcludeFromDescription();

var v1 = app.MapGroup("/v1").RequireAuthorization(Policies.User);
v1.MapChat();
v1.MapEmbeddings();
v1.MapModerations();
v1.MapModels();
v1.MapFeedback();
v1.MapConversations();
v1.MapJobs();
v1.MapFiles();
v1.MapBatches();
v1.MapAudit();
v1.MapUsage();
var admin = v1.MapGroup("/admin");
admin.MapKillSwitches();
admin.MapTenants();
admin.MapUsers();
admin.MapErasure();
admin.MapTiers();
admin.MapBudgets();
admin.MapCache();
admin.MapApiKeys();
admin.MapDeadLetters();
admin.MapProviders();
admin.MapCatalog();
admin.MapNotifications();
admin.MapOnCall();
admin.MapSchedules();

app.Run();
return 0;
