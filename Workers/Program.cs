using AiAspire.Core.Audit;
using AiAspire.Core.Batches;
using AiAspire.Core.Chat;
using AiAspire.Core.Files;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Notifications;
using AiAspire.ServiceDefaults;
using AiAspire.Workers.Jobs;
using AiAspire.Workers.Notifications;
using AiAspire.Workers.Schedules;

var builder = WebApplication.CreateBuilder(args);
builder.Configuration.AddShippedCatalog();
builder.AddServiceDefaults();
builder.AddConnections();

builder.Services.AddChat(HttpServiceDiscovery.Before);
builder.Services.AddAudit();
builder.Services.AddIdempotency();
builder.Services.AddJobs();
builder.Services.AddCallJobs();
builder.Services.AddFiles();
builder.Services.AddBatches();
builder.Services.AddJobRunner();
builder.Services.AddNotificationSending(http => http.WithoutStandardResilience());
builder.Services.AddHostedService<NotificationRunner>();

if (builder.BuildWithUsableSettings(() => builder.AddSchedules()) is not { } app)
    return 1;
app.MapDefaultEndpoints();
app.Run();
return 0;
