using System.Text.Json;
using AiAspire.Api;
using AiAspire.Api.Admin;
using AiAspire.Api.Audit;
using AiAspire.Api.Chat;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Feedback;
using AiAspire.Api.Identity;
using AiAspire.Api.Jobs;
using AiAspire.Api.Models;
using AiAspire.Api.Usage;
using AiAspire.Core.Audit;
using AiAspire.Core.Chat;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Jobs;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Notifications;
using AiAspire.ServiceDefaults;
using Scalar.AspNetCore;

var builder = WebApplication.CreateBuilder(args);
builder.Configuration.AddShippedCatalog();
builder.AddServiceDefaults();
builder.AddPostgres("aiaspire");
builder.AddPostgres("ledger", LedgerRegistration.LedgerConnection);
builder.AddPostgres("keystore", EncryptionRegistration.KeyStoreConnection);
builder.AddRedis("redis");

builder.Services.AddChat(http => http.WithoutStandardResilience());
builder.Services.AddIdempotency();
builder.Services.AddSingleton<JobQueue>();
builder.Services.AddAudit();
builder.Services.AddNotifications();
builder.Services.AddIdentity();
builder.Services.AddScoped<Administration>();
builder.Services.AddSingleton<NotificationRequestReader>();
builder.Services.AddOpenApiDocument();
builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower);
builder.Services.AddOptions<ApiOptions>()
    .BindConfiguration(ApiOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
    .ValidateDataAnnotations()
    .ValidateOnStart();
builder.WebHost.ConfigureKestrel((context, kestrel) =>
{
    kestrel.AddServerHeader = false;
    kestrel.Limits.MaxRequestBodySize = context.Configuration.GetSection(ApiOptions.Section).Get<ApiOptions>()?.MaxRequestBytes ?? new ApiOptions().MaxRequestBytes;
});

var app = builder.Build();
app.UseMiddleware<RequestIds>();
app.UseMiddleware<ErrorMiddleware>();
app.UseMiddleware<LoginAudit>();
app.UseAuthentication();
app.UseMiddleware<CallerLogging>();
app.UseAuthorization();

app.MapDefaultEndpoints();
app.MapOpenApi().AllowAnonymous();
app.MapScalarApiReference().AllowAnonymous();

var v1 = app.MapGroup("/v1").RequireAuthorization(Policies.User);
v1.MapChat();
v1.MapModels();
v1.MapFeedback();
v1.MapConversations();
v1.MapJobs();
v1.MapAudit();
v1.MapUsage();
var admin = v1.MapGroup("/admin");
admin.MapKillSwitches();
admin.MapTenants();
admin.MapUsers();
admin.MapTiers();
admin.MapBudgets();
admin.MapCache();
admin.MapApiKeys();
admin.MapNotifications();
admin.MapOnCall();

app.Run();
